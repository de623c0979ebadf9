// Fused pairwise losses: value and gradient in one pass over tiles of inner products; no N x N matrix.
//
// Every loss is a sum over ordered pairs (i, j) of a function of theta = u_i . v_j, or of the distance of the two, and
// of whether i and j are relevant to each other. v.data == null: the batch against itself, pairs i != j, and the
// gradient goes through both sides (v_labels is not read). Otherwise batch against bank: the gradient goes through u
// alone.
//
// grad: null, or u.num_rows * bits contiguous values that receive d(positive_term + negative_term) / du.
// T is float or double. NaN in u or v comes out as NaN. Up to 2^53 pairs. The same bits at any number of threads of one
// instruction set. Beside the inputs at most about three copies of u are held, and 32 MB against a bank.
#pragma once

#include <cstdint>

#include "hashkernels/counting.h"
#include "hashkernels/status.h"

namespace hashkernels {

// Row-major embeddings; row r starts at data + r * stride (stride in elements). left_out, for v alone: the row of v
// that makes no pair with each row of u, such as the item itself in a bank; a number that is no row leaves out none.
template <class T>
struct Embeddings {
  const T* data;
  int64_t num_rows;
  int64_t stride;
  const int64_t* left_out = nullptr;
};

// What the losses of the pairs are divided by; a kind of pairs that does not occur, or whose scale is 0, adds 0.
enum class PairMean {
  kEachKind,  // relevant pairs: positive_scale / |relevant|, the others: negative_scale / |others|
  kWeighted,  // both kinds: their scale / (positive_scale * |relevant| + negative_scale * |others|)
};

// The margin loss of Error Correction Maximization (equation 6), with PairMean::kEachKind:
//   relevant pairs:   min(0, theta - positive_margin)^2
//   irrelevant pairs: max(0, theta - negative_margin)^2
struct MarginLoss {
  double positive_margin, negative_margin, positive_scale, negative_scale;
};

// The negative log-likelihood of DPSH, HashNet, DBDH and DSDH, softplus(scale * theta) - relevant * scale * theta,
// where softplus(x) = log(1 + e^x). scale is 1/2 in DPSH; HashNet's class-balanced weights are kEachKind with scales
// of 1. overlap: of multi-hot labels, the loss of a relevant pair is multiplied by HashNet's |common classes| /
// |classes of either|; all pairs count alike.
struct LikelihoodLoss {
  double scale, positive_scale, negative_scale;
  PairMean mean;
  bool overlap = false;
};

// The Cauchy cross-entropy of DCH on the distance d = max(min_distance, distance_scale * (1 - theta)), where each kind
// of pairs has a min_distance of its own:
//   relevant pairs:   log(1 + d / gamma)
//   irrelevant pairs: log(1 + gamma / d)
// With rows of length 1, theta is the cosine, and distance_scale = bits / 2 gives DCH's distance: the caller normalises
// the rows, and applies the chain rule of that. gamma and both least distances are positive; pairs
// nearer than that have no gradient.
struct CauchyLoss {
  double gamma, distance_scale, positive_min_distance, negative_min_distance, positive_scale, negative_scale;
  PairMean mean;
};

// The contrastive loss of DSH on the squared distance d = |u_i - v_j|^2:
//   relevant pairs:   d / 2
//   irrelevant pairs: max(0, margin - d) / 2
// d comes from the inner product and the lengths of the rows, so its error is that of |u_i|^2 + |v_j|^2.
struct ContrastiveLoss {
  double margin, positive_scale, negative_scale;
  PairMean mean;
};

struct PairwiseResult {
  double positive_term, negative_term;  // already scaled and divided; 0 where there is no such pair
  int64_t positive_pairs, negative_pairs;
};

template <class T>
Status margin_loss(const Embeddings<T>& u, const Embeddings<T>& v, int64_t bits, Labels u_labels, Labels v_labels,
                   const MarginLoss& loss, PairwiseResult* result, T* grad, int num_threads) noexcept;

template <class T>
Status likelihood_loss(const Embeddings<T>& u, const Embeddings<T>& v, int64_t bits, Labels u_labels, Labels v_labels,
                       const LikelihoodLoss& loss, PairwiseResult* result, T* grad, int num_threads) noexcept;

template <class T>
Status cauchy_loss(const Embeddings<T>& u, const Embeddings<T>& v, int64_t bits, Labels u_labels, Labels v_labels,
                   const CauchyLoss& loss, PairwiseResult* result, T* grad, int num_threads) noexcept;

template <class T>
Status contrastive_loss(const Embeddings<T>& u, const Embeddings<T>& v, int64_t bits, Labels u_labels, Labels v_labels,
                        const ContrastiveLoss& loss, PairwiseResult* result, T* grad, int num_threads) noexcept;

// Returns scale * the sum over all values of (u - sgn u)^2, where sgn 0 = -1, and adds its gradient to grad (null, or
// u.num_rows * bits contiguous values); the sign counts as a constant. The same bits on every instruction set.
template <class T>
double sign_error(const Embeddings<T>& u, int64_t bits, double scale, T* grad) noexcept;

}  // namespace hashkernels
