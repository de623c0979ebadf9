// Which of the pairs that a thread has are relevant, and what that weighs.
//
// A thread gives one word of the labels of its rows and columns after another; class ids are one word.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <type_traits>

#include "pair_functions.cuh"

namespace hashkernels::cuda {

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
