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

// A bit for every column of a tile that exists and counts. All lanes of a warp take part.
template <int tile_columns>
__device__ __forceinline__ uint64_t counted_columns(const Pairs& pairs, int64_t first_column) {
  static_assert(tile_columns % 32 == 0 && tile_columns <= 64, "whole warps, and bits of a mask");
  uint64_t counted = 0;
#pragma unroll
  for (int part = 0; part < tile_columns; part += 32) {
    const int64_t column = first_column + part + threadIdx.x % 32;
    const bool counts = column < pairs.v.num_rows && pairs.column_counts(column);
    counted |= static_cast<uint64_t>(__ballot_sync(0xFFFFFFFF, counts)) << part;
  }
  return counted;
}

// The mask of the pairs that exist and count, of a tile that begins at first_row and first_column. The rows of a thread
// are those at row(i) of the tile, and the bits of its columns those that own_bits picks from the bits of all.
template <int rows, int columns, int tile_rows, int tile_columns, class Row, class OwnBits>
__device__ __forceinline__ uint32_t counted_pairs(const Pairs& pairs, int64_t first_row, int64_t first_column,
                                                  Row&& row, OwnBits&& own_bits) {
  static_assert(rows * columns <= 32, "a pair is a bit of a mask");
  const bool whole = first_row + tile_rows <= pairs.u.num_rows && first_column + tile_columns <= pairs.v.num_rows;
  const bool diagonal = pairs.itself && first_row < first_column + tile_columns && first_column < first_row + tile_rows;
  if (whole && !diagonal && pairs.left_out == nullptr && pairs.counted == nullptr) return ~0u;
  const uint64_t of_all_rows = counted_columns<tile_columns>(pairs, first_column);
  uint32_t counted = 0;
#pragma unroll
  for (int i = 0; i < rows; ++i) {
    if (first_row + row(i) >= pairs.u.num_rows) continue;
    const int64_t own = pairs.own_column(first_row + row(i)) - first_column;
    const uint64_t left_out = own >= 0 && own < tile_columns ? uint64_t{1} << own : 0;
    counted |= own_bits(of_all_rows & ~left_out) << (columns * i);
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
