#include "hashkernels/pairwise.h"

#include <string>

#include "bindings.hpp"

namespace hashkernels::bindings {
namespace {

// The arguments that every pairwise loss has.
struct Arguments {
  uintptr_t u;
  int64_t num_rows, bits, row_stride;
  uintptr_t v;
  int64_t num_columns, column_stride;
  Labels row_labels, column_labels;
  uintptr_t out_terms, out_counts, grad;
  int threads;
};

template <class T, class Loss, class Kernel>
void run_typed(const Arguments& args, const Loss& loss, Kernel kernel) {
  const Embeddings<T> u{address<const T>(args.u), args.num_rows, args.row_stride};
  Embeddings<T> v{address<const T>(args.v), args.num_columns, args.column_stride};
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

template <class Loss, class Kernel>
void run(const std::string& dtype_code, const Arguments& args, const Loss& loss, Kernel kernel) {
  with_type(dtype_code, [&](auto zero) { run_typed<decltype(zero)>(args, loss, kernel); });
}

Labels labels(uintptr_t data, int words) { return {address<const void>(data), words}; }

PairMean mean_of(bool weighted) { return weighted ? PairMean::kWeighted : PairMean::kEachKind; }

}  // namespace

void register_pairwise(pybind11::module_& module) {
  module.def("margin_loss",
             [](uintptr_t u, const std::string& dtype_code, int64_t num_rows, int64_t bits, int64_t row_stride,
                uintptr_t v, int64_t num_columns, int64_t column_stride, uintptr_t row_labels, uintptr_t column_labels,
                int label_words, double positive_margin, double negative_margin, double positive_scale,
                double negative_scale, uintptr_t out_terms, uintptr_t out_counts, uintptr_t grad, int threads) {
               const Arguments args{u,
                                    num_rows,
                                    bits,
                                    row_stride,
                                    v,
                                    num_columns,
                                    column_stride,
                                    labels(row_labels, label_words),
                                    labels(column_labels, label_words),
                                    out_terms,
                                    out_counts,
                                    grad,
                                    threads};
               const MarginLoss loss{positive_margin, negative_margin, positive_scale, negative_scale};
               run(dtype_code, args, loss, [](auto&&... arguments) { return margin_loss(arguments...); });
             });
  module.def("likelihood_loss",
             [](uintptr_t u, const std::string& dtype_code, int64_t num_rows, int64_t bits, int64_t row_stride,
                uintptr_t v, int64_t num_columns, int64_t column_stride, uintptr_t row_labels, uintptr_t column_labels,
                int label_words, double scale, double positive_scale, double negative_scale, bool weighted,
                uintptr_t out_terms, uintptr_t out_counts, uintptr_t grad, int threads) {
               const Arguments args{u,
                                    num_rows,
                                    bits,
                                    row_stride,
                                    v,
                                    num_columns,
                                    column_stride,
                                    labels(row_labels, label_words),
                                    labels(column_labels, label_words),
                                    out_terms,
                                    out_counts,
                                    grad,
                                    threads};
               const LikelihoodLoss loss{scale, positive_scale, negative_scale, mean_of(weighted)};
               run(dtype_code, args, loss, [](auto&&... arguments) { return likelihood_loss(arguments...); });
             });
  module.def("cauchy_loss", [](uintptr_t u, const std::string& dtype_code, int64_t num_rows, int64_t bits,
                               int64_t row_stride, uintptr_t v, int64_t num_columns, int64_t column_stride,
                               uintptr_t row_labels, uintptr_t column_labels, int label_words, double gamma,
                               double distance_scale, double min_distance, double positive_scale, double negative_scale,
                               bool weighted, uintptr_t out_terms, uintptr_t out_counts, uintptr_t grad, int threads) {
    const Arguments args{u,
                         num_rows,
                         bits,
                         row_stride,
                         v,
                         num_columns,
                         column_stride,
                         labels(row_labels, label_words),
                         labels(column_labels, label_words),
                         out_terms,
                         out_counts,
                         grad,
                         threads};
    const CauchyLoss loss{gamma, distance_scale, min_distance, positive_scale, negative_scale, mean_of(weighted)};
    run(dtype_code, args, loss, [](auto&&... arguments) { return cauchy_loss(arguments...); });
  });
  module.def("sign_error", [](uintptr_t u, const std::string& dtype_code, int64_t num_rows, int64_t bits,
                              int64_t row_stride, double scale, uintptr_t out_term, uintptr_t grad) {
    with_type(dtype_code, [&](auto zero) {
      using T = decltype(zero);
      const Embeddings<T> rows{address<const T>(u), num_rows, row_stride};
      const pybind11::gil_scoped_release release;
      *address<double>(out_term) = sign_error(rows, bits, scale, address<T>(grad));
    });
  });
}

}  // namespace hashkernels::bindings
