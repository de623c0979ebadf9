#include "hashkernels/pairwise.h"

#include <algorithm>

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

// Pairs that are left out of those of u with a bank, and how many of them have the same class id.
struct LeftOut {
  int64_t pairs = 0, same_id = 0;
};

template <class T>
LeftOut left_out(const Pairs<T>& pairs) {
  LeftOut result;
  if (pairs.itself() || pairs.v.left_out == nullptr) return result;
  const auto* const rows = pairs.labels.row_tile(0);
  const auto* const columns = pairs.labels.column_tile(0);
  for (int64_t row = 0; row < pairs.u.num_rows; ++row) {
    const int64_t column = pairs.v.left_out[row];
    if (column < 0 || column >= pairs.v.num_rows) continue;
    ++result.pairs;
    if (!pairs.labels.multi_hot()) result.same_id += rows[row] == columns[column];
  }
  return result;
}

// |P| and |Q|. Sums of whole numbers in double: exact up to 2^53 pairs.
template <class T>
Status count_pairs(const Pairs<T>& pairs, PairwiseResult* result, int num_threads) {
  const int64_t rows = pairs.u.num_rows;
  const LeftOut missing = left_out(pairs);
  const int64_t all = pairs.itself() ? rows * (rows - 1) : rows * pairs.v.num_rows - missing.pairs;
  result->positive_pairs = pairs.labels.relevant_pairs() - missing.same_id;
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

// What a loss is beside its function: the weight of a pair's loss, and the constant factor of its slope.
struct Kind {
  double scale, slope_factor;
};

template <class T>
Status pairwise_loss(const Embeddings<T>& u, const Embeddings<T>& v, int64_t bits, Labels u_labels, Labels v_labels,
                     PairParameters<T> parameters, Kind positive, Kind negative, PairMean mean, PairwiseResult* result,
                     T* grad, int num_threads) {
  PairLabels<typename PairLane<T>::Int> labels;
  if (!labels.build(u_labels, u.num_rows, v_labels, v.num_rows, v.data == nullptr, parameters.overlap)) {
    return Status::kOutOfMemory;
  }
  const Pairs<T> pairs{u, v, bits, labels, pairwise_kernel<T>(kernels())};
  Status status = count_pairs(pairs, result, num_threads);
  if (status != Status::kOk) return status;

  const double positive_pairs = result->positive_pairs, negative_pairs = result->negative_pairs;
  const double all = positive.scale * positive_pairs + negative.scale * negative_pairs;
  const auto weight = [&](Kind kind, double count) {
    return count == 0 || kind.scale == 0 ? 0 : kind.scale / (mean == PairMean::kEachKind ? count : all);
  };
  const double positive_weight = weight(positive, positive_pairs), negative_weight = weight(negative, negative_pairs);
  parameters.positive_slope = static_cast<T>(positive_weight * positive.slope_factor);
  parameters.negative_slope = static_cast<T>(negative_weight * negative.slope_factor);
  double sums[2];
  status = run_pairs(pairs, parameters, sums, grad, num_threads);
  result->positive_term = positive_weight * sums[0];
  result->negative_term = negative_weight * sums[1];
  return status;
}

// Squares of sign errors, in sums of their own that can be added side by side.
template <class T>
struct SignErrors {
  static constexpr int kSums = 8;

  template <bool kWithGrad>
  void add_row(const T* row, int64_t bits, T* grad) {
    double local[kSums];  // for registers
    std::copy_n(sums, kSums, local);
    const auto add = [&](int64_t bit, int sum) {
      const T error = row[bit] + (row[bit] > 0 ? T{-1} : T{1});
      local[sum] += static_cast<double>(error) * error;
      if constexpr (kWithGrad) grad[bit] += slope * error;
    };
    int64_t bit = 0;
    for (; bit + kSums <= bits; bit += kSums) {
#pragma GCC unroll 8
      for (int i = 0; i < kSums; ++i) add(bit + i, i);
    }
    for (int i = 0; bit + i < bits; ++i) add(bit + i, i);
    std::copy_n(local, kSums, sums);
  }

  T slope;  // of the gradient
  double sums[kSums] = {};
};

}  // namespace

template <class T>
Status margin_loss(const Embeddings<T>& u, const Embeddings<T>& v, int64_t bits, Labels u_labels, Labels v_labels,
                   const MarginLoss& loss, PairwiseResult* result, T* grad, int num_threads) noexcept {
  PairParameters<T> parameters{};
  parameters.function = PairFunction::kMargin;
  parameters.positive_margin = static_cast<T>(loss.positive_margin);
  parameters.negative_margin = static_cast<T>(loss.negative_margin);
  return pairwise_loss(u, v, bits, u_labels, v_labels, parameters, {loss.positive_scale, -2}, {loss.negative_scale, 2},
                       PairMean::kEachKind, result, grad, num_threads);
}

template <class T>
Status likelihood_loss(const Embeddings<T>& u, const Embeddings<T>& v, int64_t bits, Labels u_labels, Labels v_labels,
                       const LikelihoodLoss& loss, PairwiseResult* result, T* grad, int num_threads) noexcept {
  PairParameters<T> parameters{};
  parameters.function = PairFunction::kLikelihood;
  parameters.scale = static_cast<T>(loss.scale);
  parameters.overlap = loss.overlap;
  return pairwise_loss(u, v, bits, u_labels, v_labels, parameters, {loss.positive_scale, -loss.scale},
                       {loss.negative_scale, loss.scale}, loss.mean, result, grad, num_threads);
}

template <class T>
Status cauchy_loss(const Embeddings<T>& u, const Embeddings<T>& v, int64_t bits, Labels u_labels, Labels v_labels,
                   const CauchyLoss& loss, PairwiseResult* result, T* grad, int num_threads) noexcept {
  PairParameters<T> parameters{};
  parameters.function = PairFunction::kCauchy;
  parameters.scale = static_cast<T>(loss.distance_scale);
  parameters.gamma = static_cast<T>(loss.gamma);
  parameters.positive_min_distance = static_cast<T>(loss.positive_min_distance);
  parameters.negative_min_distance = static_cast<T>(loss.negative_min_distance);
  return pairwise_loss(u, v, bits, u_labels, v_labels, parameters, {loss.positive_scale, -loss.distance_scale},
                       {loss.negative_scale, loss.distance_scale}, loss.mean, result, grad, num_threads);
}

template <class T>
Status contrastive_loss(const Embeddings<T>& u, const Embeddings<T>& v, int64_t bits, Labels u_labels, Labels v_labels,
                        const ContrastiveLoss& loss, PairwiseResult* result, T* grad, int num_threads) noexcept {
  PairParameters<T> parameters{};
  parameters.function = PairFunction::kContrastive;
  parameters.negative_margin = static_cast<T>(loss.margin / 2);
  return pairwise_loss(u, v, bits, u_labels, v_labels, parameters, {loss.positive_scale, -1}, {loss.negative_scale, 1},
                       loss.mean, result, grad, num_threads);
}

template <class T>
double sign_error(const Embeddings<T>& u, int64_t bits, double scale, T* grad) noexcept {
  if (scale == 0) return 0;
  SignErrors<T> errors{static_cast<T>(2 * scale)};
  for (int64_t r = 0; r < u.num_rows; ++r) {
    if (grad == nullptr) {
      errors.template add_row<false>(u.data + r * u.stride, bits, nullptr);
    } else {
      errors.template add_row<true>(u.data + r * u.stride, bits, grad + r * bits);
    }
  }
  double total = 0;
  for (const double sum : errors.sums) total += sum;
  return scale * total;
}

template double sign_error<float>(const Embeddings<float>&, int64_t, double, float*) noexcept;
template double sign_error<double>(const Embeddings<double>&, int64_t, double, double*) noexcept;
template Status margin_loss<float>(const Embeddings<float>&, const Embeddings<float>&, int64_t, Labels, Labels,
                                   const MarginLoss&, PairwiseResult*, float*, int) noexcept;
template Status margin_loss<double>(const Embeddings<double>&, const Embeddings<double>&, int64_t, Labels, Labels,
                                    const MarginLoss&, PairwiseResult*, double*, int) noexcept;
template Status likelihood_loss<float>(const Embeddings<float>&, const Embeddings<float>&, int64_t, Labels, Labels,
                                       const LikelihoodLoss&, PairwiseResult*, float*, int) noexcept;
template Status likelihood_loss<double>(const Embeddings<double>&, const Embeddings<double>&, int64_t, Labels, Labels,
                                        const LikelihoodLoss&, PairwiseResult*, double*, int) noexcept;
template Status cauchy_loss<float>(const Embeddings<float>&, const Embeddings<float>&, int64_t, Labels, Labels,
                                   const CauchyLoss&, PairwiseResult*, float*, int) noexcept;
template Status cauchy_loss<double>(const Embeddings<double>&, const Embeddings<double>&, int64_t, Labels, Labels,
                                    const CauchyLoss&, PairwiseResult*, double*, int) noexcept;
template Status contrastive_loss<float>(const Embeddings<float>&, const Embeddings<float>&, int64_t, Labels, Labels,
                                        const ContrastiveLoss&, PairwiseResult*, float*, int) noexcept;
template Status contrastive_loss<double>(const Embeddings<double>&, const Embeddings<double>&, int64_t, Labels, Labels,
                                         const ContrastiveLoss&, PairwiseResult*, double*, int) noexcept;

}  // namespace hashkernels
