// The matrix products of a tile of pairs: inner products, and slopes by rows or columns. One register-blocked product
// does all three.
#pragma once

#include "pairwise_vector.hpp"

namespace hashkernels {
namespace {

// Element (r, k) of a matrix lies at data[r * row_step + k * step].
template <class T>
struct Factor {
  const T* data;
  int64_t row_step, step;
};

// out[r][0 .. kVectors vectors) (+)= sum over k < depth of a(r, k) * b[k][same columns], for kRows rows.
// The sum starts from zero even where it is added: shorter runs of additions lose less. Inlined where registers hold
// other values as well, the loop would keep a sum in memory and wait for it: not inlined, it takes two thirds of the
// time.
template <class S, int kRows, int kVectors>
__attribute__((noinline)) void multiply_block(typename S::T* out, int64_t out_stride, Factor<typename S::T> a,
                                              const typename S::T* b, int64_t b_stride, int64_t depth, bool add) {
  using Vector = typename S::Vector;
  Vector sum[kRows][kVectors] = {};
  for (int64_t k = 0; k < depth; ++k) {
    Vector x[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) x[v] = load<Vector>(b + k * b_stride + v * S::kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const typename S::T factor = a.data[r * a.row_step + k * a.step];
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) sum[r][v] += factor * x[v];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      typename S::T* place = out + r * out_stride + v * S::kLanes;
      store(place, add ? load<Vector>(place) + sum[r][v] : sum[r][v]);
    }
  }
}

// The same for `rows` rows, 0 <= rows <= kRows.
template <class S, int kRows, int kVectors>
void multiply_rows(int rows, typename S::T* out, int64_t out_stride, Factor<typename S::T> a, const typename S::T* b,
                   int64_t b_stride, int64_t depth, bool add) {
  if constexpr (kRows > 0) {
    if (rows == kRows) {
      multiply_block<S, kRows, kVectors>(out, out_stride, a, b, b_stride, depth, add);
    } else {
      multiply_rows<S, kRows - 1, kVectors>(rows, out, out_stride, a, b, b_stride, depth, add);
    }
  }
}

// The same for any number of rows and kVectors vectors of columns.
template <class S, int kVectors>
void multiply_columns(int rows, typename S::T* out, int64_t out_stride, Factor<typename S::T> a, const typename S::T* b,
                      int64_t b_stride, int64_t depth, bool add) {
  int r = 0;
  for (; r + S::kRows <= rows; r += S::kRows) {
    multiply_block<S, S::kRows, kVectors>(out + r * out_stride, out_stride,
                                          {a.data + r * a.row_step, a.row_step, a.step}, b, b_stride, depth, add);
  }
  multiply_rows<S, S::kRows - 1, kVectors>(rows - r, out + r * out_stride, out_stride,
                                           {a.data + r * a.row_step, a.row_step, a.step}, b, b_stride, depth, add);
}

// The last columns of a product: fewer than kVectors + 1 vectors.
template <class S, int kVectors>
void multiply_last_columns(int64_t vectors, int rows, typename S::T* out, int64_t out_stride, Factor<typename S::T> a,
                           const typename S::T* b, int64_t b_stride, int64_t depth, bool add) {
  if constexpr (kVectors > 0) {
    if (vectors == kVectors) {
      multiply_columns<S, kVectors>(rows, out, out_stride, a, b, b_stride, depth, add);
    } else {
      multiply_last_columns<S, kVectors - 1>(vectors, rows, out, out_stride, a, b, b_stride, depth, add);
    }
  }
}

// out[r][c] (+)= sum over k < depth of a(r, k) * b[k][c] for rows x columns; columns is a whole number of vectors.
template <class S>
void multiply(int rows, int64_t columns, typename S::T* out, int64_t out_stride, Factor<typename S::T> a,
              const typename S::T* b, int64_t b_stride, int64_t depth, bool add) {
  constexpr int64_t kStep = S::kVectors * S::kLanes;
  int64_t c = 0;
  for (; c + kStep <= columns; c += kStep) {
    multiply_columns<S, S::kVectors>(rows, out + c, out_stride, a, b + c, b_stride, depth, add);
  }
  multiply_last_columns<S, S::kVectors - 1>((columns - c) / S::kLanes, rows, out + c, out_stride, a, b + c, b_stride,
                                            depth, add);
}

// theta[column][row] = inner product. Long rows go in runs of bits whose transposed part stays in the first cache.
template <class S>
void inner_products(const PairwiseTile<typename S::T>& tile, typename S::T* theta) {
  constexpr int64_t kRun = 32768 / (kPairTile * sizeof(typename S::T));
  for (int64_t first = 0; first < tile.bits; first += kRun) {
    const int64_t depth = tile.bits - first < kRun ? tile.bits - first : kRun;
    multiply<S>(tile.num_columns, kPairTile, theta, kPairTile, {tile.columns + first, tile.column_stride, 1},
                tile.rows_transposed + first * kPairTile, kPairTile, depth, first > 0);
  }
}

template <class S>
void add_gradients(const PairwiseTile<typename S::T>& tile, const typename S::T* slopes) {
  if (tile.row_grad != nullptr) {
    multiply<S>(tile.num_rows, tile.padded_bits, tile.row_grad, tile.grad_stride, {slopes, 1, kPairTile}, tile.columns,
                tile.column_stride, tile.num_columns, true);
  }
  if (tile.column_grad != nullptr) {
    multiply<S>(tile.num_columns, tile.padded_bits, tile.column_grad, tile.grad_stride, {slopes, kPairTile, 1},
                tile.rows, tile.row_stride, tile.num_rows, true);
  }
}

}  // namespace
}  // namespace hashkernels
