#include "hashkernels/pairwise.h"

#include <string>

#include "bindings.hpp"
#include "pair_losses.hpp"

namespace hashkernels::bindings {
namespace {

// The arguments that every pairwise loss has.
struct Arguments {
  uintptr_t u;
  int64_t num_rows, bits, row_stride;
  uintptr_t v;
  int64_t num_columns, column_stride;
  Labels row_labels, column_labels;
  uintptr_t left_out;
  uintptr_t out_terms, out_counts, grad;
  int threads;
};

template <class T, class Loss, class Kernel>
void run_typed(const Arguments& args, const Loss& loss, Kernel kernel) {
  const Embeddings<T> u{address<const T>(args.u), args.num_rows, args.row_stride};
  Embeddings<T> v{address<const T>(args.v), args.num_columns, args.column_stride,
                  address<const int64_t>(args.left_out)};
  // An empty bank may have no address, and is a bank all the same.
  if (v.data == nullptr && v.num_rows == 0) v.data = u.data;
  PairwiseResult result;
  call([&] {
    return kernel(u, v, args.bits, args.row_labels, args.column_labels, loss, &result, address<T>(args.grad),
                  args.threads);
  });
  address<double>(args.out_terms)[0] = result.positive_term;
  address<double>(args.out_terms)[1] = result.negative_term;
  address<int64_t>(args.out_counts)[0] = result.positive_pairs;
  address<int64_t>(args.out_counts)[1] = result.negative_pairs;
}

// function(T{}) for the element type T that `dtype_code` names.
template <class Function>
void with_type(const std::string& dtype_code, Function function) {
  if (dtype_code == "float32") {
    function(float{});
  } else if (dtype_code == "float64") {
    function(double{});
  } else {
    throw pybind11::value_error("dtype_code must be float32 or float64, got " + dtype_code);
  }
}

// Registers a loss under a name: it takes the pairs, the parameters as make_loss takes them, and the outputs.
template <class Loss, class Kernel, class... Parameters>
void register_on_cpu(pybind11::module_& module, const char* name, Loss (*make_loss)(Parameters...), Kernel kernel) {
  module.def(name, [make_loss, kernel](uintptr_t u, const std::string& dtype_code, int64_t num_rows, int64_t bits,
                                       int64_t row_stride, uintptr_t v, int64_t num_columns, int64_t column_stride,
                                       uintptr_t row_labels, uintptr_t column_labels, int label_words,
                                       uintptr_t left_out, Parameters... parameters, uintptr_t out_terms,
                                       uintptr_t out_counts, uintptr_t grad, int threads) {
    const Arguments args{u,
                         num_rows,
                         bits,
                         row_stride,
                         v,
                         num_columns,
                         column_stride,
                         {address<const void>(row_labels), label_words},
                         {address<const void>(column_labels), label_words},
                         left_out,
                         out_terms,
                         out_counts,
                         grad,
                         threads};
    const Loss loss = make_loss(parameters...);
    with_type(dtype_code, [&](auto zero) { run_typed<decltype(zero)>(args, loss, kernel); });
  });
}

}  // namespace

void register_pairwise(pybind11::module_& module) {
  register_on_cpu(module, "margin_loss", make_margin_loss, [](auto&&... args) { return margin_loss(args...); });
  register_on_cpu(module, "likelihood_loss", make_likelihood_loss,
                  [](auto&&... args) { return likelihood_loss(args...); });
  register_on_cpu(module, "cauchy_loss", make_cauchy_loss, [](auto&&... args) { return cauchy_loss(args...); });
  register_on_cpu(module, "contrastive_loss", make_contrastive_loss,
                  [](auto&&... args) { return contrastive_loss(args...); });
  // The third term, and the total of the three.
  module.def("sign_error", [](uintptr_t u, const std::string& dtype_code, int64_t num_rows, int64_t bits,
                              int64_t row_stride, double scale, uintptr_t terms, uintptr_t out_total, uintptr_t grad) {
    with_type(dtype_code, [&](auto zero) {
      using T = decltype(zero);
      const Embeddings<T> rows{address<const T>(u), num_rows, row_stride};
      const pybind11::gil_scoped_release release;
      double* const values = address<double>(terms);
      values[2] = sign_error(rows, bits, scale, address<T>(grad));
      *address<T>(out_total) = static_cast<T>(values[0] + values[1] + values[2]);
    });
  });
}

}  // namespace hashkernels::bindings
