#include "hashkernels/pairwise.h"

#include "kernels.hpp"
#include "pairwise_engine.hpp"

namespace hashkernels {
namespace {

template <class T>
PairwiseKernel<T> pairwise_kernel(const Kernels& isa) {
  if constexpr (sizeof(T) == sizeof(float)) {
    return isa.pairwise_f32;
  } else {
    return isa.pairwise_f64;
  }
}

// |P| and |Q|. Sums of whole numbers in double: exact up to 2^53 pairs.
template <class T>
Status count_pairs(const Pairs<T>& pairs, PairwiseResult* result, int num_threads) {
  const int64_t rows = pairs.u.num_rows;
  const int64_t all = pairs.itself() ? rows * (rows - 1) : rows * pairs.v.num_rows;
  result->positive_pairs = pairs.labels.relevant_pairs();
  if (pairs.labels.multi_hot()) {
    PairParameters<T> relevance{};
    relevance.function = PairFunction::kRelevance;
    double sums[2];
    const Status status = run_pairs<T>(pairs, relevance, sums, nullptr, num_threads);
    if (status != Status::kOk) return status;
    result->positive_pairs = static_cast<int64_t>(sums[0]);
  }
  result->negative_pairs = all - result->positive_pairs;
  return Status::kOk;
}

}  // namespace

template <class T>
Status margin_loss(const Embeddings<T>& u, const Embeddings<T>& v, int64_t bits, Labels u_labels, Labels v_labels,
                   const MarginLoss& loss, PairwiseResult* result, T* grad, int num_threads) noexcept {
  PairLabels<typename PairLane<T>::Int> labels;
  const Labels other = v.data == nullptr ? Labels{nullptr, 0} : v_labels;
  if (!labels.build(u_labels, u.num_rows, other, v.num_rows)) return Status::kOutOfMemory;
  const Pairs<T> pairs{u, v, bits, labels, pairwise_kernel<T>(kernels())};
  Status status = count_pairs(pairs, result, num_threads);
  if (status != Status::kOk) return status;

  const double positive_weight = result->positive_pairs == 0 ? 0 : loss.positive_scale / result->positive_pairs;
  const double negative_weight = result->negative_pairs == 0 ? 0 : loss.negative_scale / result->negative_pairs;
  PairParameters<T> parameters{};
  parameters.function = PairFunction::kMargin;
  parameters.positive_margin = static_cast<T>(loss.positive_margin);
  parameters.negative_margin = static_cast<T>(loss.negative_margin);
  parameters.positive_slope = static_cast<T>(-2 * positive_weight);
  parameters.negative_slope = static_cast<T>(2 * negative_weight);
  double sums[2];
  status = run_pairs(pairs, parameters, sums, grad, num_threads);
  result->positive_term = positive_weight * sums[0];
  result->negative_term = negative_weight * sums[1];
  return status;
}

template Status margin_loss<float>(const Embeddings<float>&, const Embeddings<float>&, int64_t, Labels, Labels,
                                   const MarginLoss&, PairwiseResult*, float*, int) noexcept;
template Status margin_loss<double>(const Embeddings<double>&, const Embeddings<double>&, int64_t, Labels, Labels,
                                    const MarginLoss&, PairwiseResult*, double*, int) noexcept;

}  // namespace hashkernels
