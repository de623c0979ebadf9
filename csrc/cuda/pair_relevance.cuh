// Which of the pairs that a thread has count, which are relevant, and what that weighs.
//
// A thread gives one word of the labels of its rows and columns after another; class ids are one word. Masks have bit
// columns * i + j for the pair of its row i and its column j.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <type_traits>

#include "pair_functions.cuh"
#include "pairs.cuh"

namespace hashkernels::cuda {

// The mask of the pairs that exist and count. The rows and columns of a thread are those at row(i) and column(j) of a
// tile of `tile_columns` columns, which begins at first_row and first_column.
template <int rows, int columns, int tile_rows, int tile_columns, class Row, class Column>
__device__ __forceinline__ uint32_t counted_pairs(const Pairs& pairs, int64_t first_row, int64_t first_column,
                                                  Row&& row, Column&& column) {
  static_assert(rows * columns <= 32, "a pair is a bit of a mask");
  const bool whole = first_row + tile_rows <= pairs.u.num_rows && first_column + tile_columns <= pairs.v.num_rows;
  const bool diagonal = pairs.itself && first_row < first_column + tile_columns && first_column < first_row + tile_rows;
  if (whole && !diagonal && pairs.left_out == nullptr && pairs.counted == nullptr) return ~0u;
  const int64_t columns_left = pairs.v.num_rows - first_column;
  uint32_t counted_columns = 0;
#pragma unroll
  for (int j = 0; j < columns; ++j) {
    if (column(j) < columns_left && pairs.column_counts(first_column + column(j))) counted_columns |= 1u << j;
  }
  uint32_t counted = 0;
#pragma unroll
  for (int i = 0; i < rows; ++i) {
    if (first_row + row(i) >= pairs.u.num_rows) continue;
    const int64_t own = pairs.own_column(first_row + row(i)) - first_column;
    uint32_t of_row = counted_columns;
#pragma unroll
    for (int j = 0; j < columns; ++j) {
      if (column(j) == own) of_row &= ~(1u << j);
    }
    counted |= of_row << (columns * i);
  }
  return counted;
}

// Pairs of the same class, or that share one.
template <int rows, int columns>
class CommonClass {
 public:
  static_assert(rows * columns <= 32, "a pair is a bit of a mask");

  __device__ __forceinline__ void add(const uint64_t (&row)[rows], const uint64_t (&column)[columns], bool ids) {
#pragma unroll
    for (int i = 0; i < rows; ++i) {
#pragma unroll
      for (int j = 0; j < columns; ++j) {
        const bool match = ids ? row[i] == column[j] : (row[i] & column[j]) != 0;
        relevant_ |= (match ? 1u : 0u) << (columns * i + j);
      }
    }
  }

  __device__ __forceinline__ bool operator()(int i, int j) const { return (relevant_ >> (columns * i + j) & 1) != 0; }

  __device__ __forceinline__ PairValue weigh(const PairValue& value, int, int) const { return value; }

 private:
  uint32_t relevant_ = 0;
};

// Pairs that share a class, weighed by the share of the classes of either that both have. Not for class ids.
template <int rows, int columns>
class ClassShare {
 public:
  __device__ __forceinline__ void add(const uint64_t (&row)[rows], const uint64_t (&column)[columns], bool) {
#pragma unroll
    for (int i = 0; i < rows; ++i) row_sizes_[i] += __popcll(row[i]);
#pragma unroll
    for (int j = 0; j < columns; ++j) column_sizes_[j] += __popcll(column[j]);
#pragma unroll
    for (int i = 0; i < rows; ++i) {
#pragma unroll
      for (int j = 0; j < columns; ++j) common_[i][j] += __popcll(row[i] & column[j]);
    }
  }

  __device__ __forceinline__ bool operator()(int i, int j) const { return common_[i][j] != 0; }

  __device__ __forceinline__ PairValue weigh(const PairValue& value, int i, int j) const {
    const int common = common_[i][j];
    const int either = row_sizes_[i] + column_sizes_[j] - common;
    const float share = common == 0 ? 1.0f : __fdividef(static_cast<float>(common), static_cast<float>(either));
    return {share * value.loss, share * value.slope};
  }

 private:
  int common_[rows][columns] = {};
  int row_sizes_[rows] = {};
  int column_sizes_[columns] = {};
};

template <class Function, int rows, int columns>
using PairRelevance = std::conditional_t<Function::kOfShares, ClassShare<rows, columns>, CommonClass<rows, columns>>;

}  // namespace hashkernels::cuda
