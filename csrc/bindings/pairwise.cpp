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
  double quantization;
  uintptr_t out_total, out_sums, grad;
  int threads;
};

template <class T, class Loss, class Kernel>
void run_typed(const Arguments& args, const Loss& loss, Kernel kernel) {
  const Embeddings<T> u{address<const T>(args.u), args.num_rows, args.row_stride};
  Embeddings<T> v{address<const T>(args.v), args.num_columns, args.column_stride,
                  address<const int64_t>(args.left_out)};
  // An empty bank may have no address, and is a bank all the same.
  if (v.data == nullptr && v.num_rows == 0) v.data = u.data;
  T* const grad = address<T>(args.grad);
  PairwiseResult result;
  double errors = 0;
  call([&] {
    const Status status =
        kernel(u, v, args.bits, args.row_labels, args.column_labels, loss, &result, grad, args.threads);
    if (status == Status::kOk) errors = sign_error(u, args.bits, args.quantization, grad);
    return status;
  });
  double* const sums = address<double>(args.out_sums);
  sums[0] = result.positive_term;
  sums[1] = result.negative_term;
  sums[2] = errors;
  sums[3] = static_cast<double>(result.positive_pairs);
  sums[4] = static_cast<double>(result.negative_pairs);
  *address<T>(args.out_total) = static_cast<T>(sums[0] + sums[1] + sums[2]);
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

// Registers a loss under a name: it takes the pairs, the parameters as make_loss takes them, the weight of the sign
// error, and the outputs: total, sums [5] (terms of relevant pairs, of the others, of the sign error; numbers of pairs)
// and gradient.
template <class Loss, class Kernel, class... Parameters>
void register_on_cpu(pybind11::module_& module, const char* name, Loss (*make_loss)(Parameters...), Kernel kernel) {
  module.def(name, [make_loss, kernel](uintptr_t u, const std::string& dtype_code, int64_t num_rows, int64_t bits,
                                       int64_t row_stride, uintptr_t v, int64_t num_columns, int64_t column_stride,
                                       uintptr_t row_labels, uintptr_t column_labels, int label_words,
                                       uintptr_t left_out, Parameters... parameters, double quantization,
                                       uintptr_t out_total, uintptr_t out_sums, uintptr_t grad, int threads) {
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
                         quantization,
                         out_total,
                         out_sums,
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
}

}  // namespace hashkernels::bindings
