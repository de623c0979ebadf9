// Distances of a tile of pairs from its inner products, theta = -1/2 |u - v|^2 = u . v - 1/2 |u|^2 - 1/2 |v|^2, and
// what the lengths add to the gradients.
#pragma once

#include "pairwise_vector.hpp"

namespace hashkernels {
namespace {

// 1/2 |row|^2 of `count` rows.
template <class S>
void half_squares(const typename S::T* rows, int64_t stride, int64_t padded_bits, int count, typename S::T* out) {
  using Vector = typename S::Vector;
  for (int r = 0; r < count; ++r) {
    Vector sum{};
    for (int64_t bit = 0; bit < padded_bits; bit += S::kLanes) {
      const Vector x = load<Vector>(rows + r * stride + bit);
      sum += x * x;
    }
    out[r] = sum_of_lanes<S>(sum) / 2;
  }
}

// Turns inner products into -1/2 |row - column|^2.
template <class S>
void to_distances(const PairwiseTile<typename S::T>& tile, typename S::T* theta) {
  using Vector = typename S::Vector;
  typename S::T rows[kPairTile] = {}, columns[kPairTile];
  half_squares<S>(tile.rows, tile.row_stride, tile.padded_bits, tile.num_rows, rows);
  half_squares<S>(tile.columns, tile.column_stride, tile.padded_bits, tile.num_columns, columns);
  for (int column = 0; column < tile.num_columns; ++column) {
    for (int row = 0; row < kPairTile; row += S::kLanes) {
      typename S::T* place = theta + column * kPairTile + row;
      store(place, load<Vector>(place) - (load<Vector>(rows + row) + columns[column]));
    }
  }
}

// grad[r] -= sums[r] * rows[r] for `count` rows.
template <class S>
void subtract_multiples(typename S::T* grad, int64_t grad_stride, const typename S::T* rows, int64_t stride,
                        int64_t padded_bits, int count, const typename S::T* sums) {
  using Vector = typename S::Vector;
  for (int r = 0; r < count; ++r) {
    for (int64_t bit = 0; bit < padded_bits; bit += S::kLanes) {
      typename S::T* place = grad + r * grad_stride + bit;
      store(place, load<Vector>(place) - sums[r] * load<Vector>(rows + r * stride + bit));
    }
  }
}

// What the lengths of the rows add to the gradients of distances: -1/2 |u - v|^2 has the derivative v - u by u, of
// which add_gradients has added the first half.
template <class S>
void add_gradients_of_lengths(const PairwiseTile<typename S::T>& tile, const typename S::T* slopes) {
  using Vector = typename S::Vector;
  typename S::T sums[kPairTile];
  if (tile.row_grad != nullptr) {
    for (int row = 0; row < tile.num_rows; row += S::kLanes) {
      Vector sum{};
      for (int column = 0; column < tile.num_columns; ++column) sum += load<Vector>(slopes + column * kPairTile + row);
      store(sums + row, sum);
    }
    subtract_multiples<S>(tile.row_grad, tile.grad_stride, tile.rows, tile.row_stride, tile.padded_bits, tile.num_rows,
                          sums);
  }
  if (tile.column_grad != nullptr) {
    for (int column = 0; column < tile.num_columns; ++column) {
      Vector sum{};
      for (int row = 0; row < tile.num_rows; row += S::kLanes) sum += load<Vector>(slopes + column * kPairTile + row);
      sums[column] = sum_of_lanes<S>(sum);
    }
    subtract_multiples<S>(tile.column_grad, tile.grad_stride, tile.columns, tile.column_stride, tile.padded_bits,
                          tile.num_columns, sums);
  }
}

}  // namespace
}  // namespace hashkernels
