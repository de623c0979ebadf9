// Fused pairwise losses: value and gradient in one pass over tiles of inner products; no N x N matrix.
#pragma once

#include <cstdint>

#include "hashkernels/counting.h"
#include "hashkernels/status.h"

namespace hashkernels {

// Row-major embeddings; row r starts at data + r * stride (stride in elements).
template <class T>
struct Embeddings {
  const T* data;
  int64_t num_rows;
  int64_t stride;
};

// The margin loss of Error Correction Maximization (equation 6), over ordered pairs (i, j), theta = u_i . v_j:
//   relevant pairs:   positive_scale * min(0, theta - positive_margin)^2 / number of relevant pairs
//   irrelevant pairs: negative_scale * max(0, theta - negative_margin)^2 / number of irrelevant pairs
// v.data == null: the batch against itself, pairs i != j, and the gradient goes through both sides.
// Otherwise batch against bank: the gradient goes through u alone.
struct MarginLoss {
  double positive_margin, negative_margin, positive_scale, negative_scale;
};

struct PairwiseResult {
  double positive_term, negative_term;  // already scaled and divided; 0 where there is no such pair
  int64_t positive_pairs, negative_pairs;
};

// grad: null, or u.num_rows * bits contiguous values that receive d(positive_term + negative_term) / du.
// The same bits at any number of threads of one instruction set. T is float or double.
template <class T>
Status margin_loss(const Embeddings<T>& u, const Embeddings<T>& v, int64_t bits, Labels u_labels, Labels v_labels,
                   const MarginLoss& loss, PairwiseResult* result, T* grad, int num_threads) noexcept;

}  // namespace hashkernels
