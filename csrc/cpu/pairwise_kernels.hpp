// What the driver of the pairwise losses hands to an instruction set: one tile of pairs at a time.
#pragma once

#include <cstdint>

namespace hashkernels {

// Rows of u, and rows of v, that meet in one tile.
inline constexpr int kPairTile = 64;

// Rows are read in whole cache lines: "padded" means rounded up to a whole number of them.
inline constexpr int kPairLineBytes = 64;

// Labels are compared in lanes as wide as the values.
template <class T>
struct PairLane;
template <>
struct PairLane<float> {
  using Int = int32_t;
  using Bits = uint32_t;
};
template <>
struct PairLane<double> {
  using Int = int64_t;
  using Bits = uint64_t;
};

enum class PairFunction { kRelevance, kMargin, kLikelihood, kCauchy, kContrastive };

// The loss of a pair as a function of theta, its inner product or, for kContrastive, minus half its squared distance.
// Its derivative by theta is positive_slope (relevant pairs) or negative_slope (the others) times a factor that each
// function defines:
//   kRelevance    1 where relevant, 0 elsewhere; multi-hot labels only, no inner products, no derivative
//   kMargin       x^2 with factor x; x = max(0, positive_margin - theta), or max(0, theta - negative_margin)
//   kLikelihood   softplus(z) with factor logistic(z); z = -scale * theta, or scale * theta
//   kCauchy       log(1 + d / gamma) with factor 1 / (gamma + d), or log(1 + gamma / d) with factor
//                 gamma / (d (gamma + d)); d = max(min_distance, scale * (1 - theta)), of relevant pairs or of
//                 the others, and the factor is 0 where d is min_distance
//   kContrastive  max(0, x) with factor 1, or 0 where x <= 0; x = -theta, or negative_margin + theta
template <class T>
struct PairParameters {
  PairFunction function;
  T positive_slope, negative_slope;
  T positive_margin, negative_margin;
  T scale, gamma, positive_min_distance, negative_min_distance;
  bool overlap;  // kLikelihood, multi-hot labels: relevant pairs weigh |common classes| / |classes of either|
};

// The pairs (row, column) of kPairTile rows of u at most, and as many rows of v.
template <class T>
struct PairwiseTile {
  using Int = typename PairLane<T>::Int;

  const T* rows_transposed;  // [bits][kPairTile], zero past num_rows
  const T* rows;             // [num_rows][padded bits]
  const T* columns;          // [num_columns][padded bits]
  int64_t row_stride, column_stride;
  int num_rows, num_columns;
  int64_t bits, padded_bits;

  const Int* row_labels;     // [num_planes][kPairTile]
  const Int* column_labels;  // [num_planes][kPairTile]
  int num_planes;
  bool multi_hot;       // relevant: some plane has a common bit; otherwise: the only plane is equal
  const Int* left_out;  // [kPairTile]: the column, counted from 0, that makes no pair with the row; null: each does

  T* row_grad;     // [num_rows][padded bits], added to; null: not wanted
  T* column_grad;  // [num_columns][padded bits], added to; null: not wanted
  int64_t grad_stride;
};

// Adds the loss of the relevant pairs of the tile to sums[0], that of the others to sums[1], and the gradients to the
// tile's.
template <class T>
using PairwiseKernel = void (*)(const PairwiseTile<T>& tile, const PairParameters<T>& parameters, double* sums);

void pairwise_f32_scalar(const PairwiseTile<float>& tile, const PairParameters<float>& parameters, double* sums);
void pairwise_f32_avx2(const PairwiseTile<float>& tile, const PairParameters<float>& parameters, double* sums);
void pairwise_f32_avx512(const PairwiseTile<float>& tile, const PairParameters<float>& parameters, double* sums);
void pairwise_f32_neon(const PairwiseTile<float>& tile, const PairParameters<float>& parameters, double* sums);

void pairwise_f64_scalar(const PairwiseTile<double>& tile, const PairParameters<double>& parameters, double* sums);
void pairwise_f64_avx2(const PairwiseTile<double>& tile, const PairParameters<double>& parameters, double* sums);
void pairwise_f64_avx512(const PairwiseTile<double>& tile, const PairParameters<double>& parameters, double* sums);
void pairwise_f64_neon(const PairwiseTile<double>& tile, const PairParameters<double>& parameters, double* sums);

}  // namespace hashkernels
