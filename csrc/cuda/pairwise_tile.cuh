// A tile of pairs in float32: its inner products, its labels, and the product of its slopes with its columns.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "pair_relevance.cuh"
#include "pairs.cuh"
#include "tuning.cuh"

namespace hashkernels::cuda {
namespace {

using Tuning = tuning::Pairwise;

constexpr int kTile = kPairTile;
constexpr int kStep = Tuning::kStep;
constexpr int kThreads = Tuning::kThreads;
constexpr int kOwn = 4;  // a thread owns kOwn x kOwn pairs of a tile
static_assert(kThreads == (kTile / kOwn) * (kTile / kOwn), "every pair has a thread");

// Pads keep rows at multiples of 16 bytes and neighbouring ones in different banks.
struct alignas(16) Shared {
  float rows[kStep][kTile + 4];
  float columns[kStep][kTile + 4];
  float slopes[kTile][kTile + 4];  // [column][row]
  float values[kTile][kTile + 4];  // [column][a slice of kTile bits]
  double sums[2][kThreads / 32];
};

// A thread owns kOwn rows and kOwn columns of a tile, from these on.
__device__ __forceinline__ int own_row() { return threadIdx.x / (kTile / kOwn) * kOwn; }
__device__ __forceinline__ int own_column() { return threadIdx.x % (kTile / kOwn) * kOwn; }

template <class Visit>
__device__ __forceinline__ void for_each_own(Visit&& visit) {
#pragma unroll
  for (int i = 0; i < kOwn; ++i) {
#pragma unroll
    for (int j = 0; j < kOwn; ++j) visit(i, j);
  }
}

__device__ __forceinline__ void clear(float (&sums)[kOwn][kOwn]) {
  for_each_own([&](int i, int j) { sums[i][j] = 0; });
}

// kStep values, from value `first` on, of kTile items, from item `start` on; what lies outside is zero.
__device__ __forceinline__ void load_transposed(const PairRows& items, int64_t bits, int64_t start, int64_t first,
                                                float (&tile)[kStep][kTile + 4]) {
  const float* const values = static_cast<const float*>(items.data);
#pragma unroll
  for (int i = threadIdx.x; i < kTile * kStep; i += kThreads) {
    const int item = i / kStep;
    const int bit = i % kStep;
    const bool inside = start + item < items.num_rows && first + bit < bits;
    tile[bit][item] = inside ? values[(start + item) * items.stride + first + bit] : 0.0f;
  }
}

__device__ __forceinline__ void load_slice(const PairRows& items, int64_t bits, int64_t start, int64_t first,
                                           float (&tile)[kTile][kTile + 4]) {
  const float* const values = static_cast<const float*>(items.data);
#pragma unroll 4
  for (int i = threadIdx.x; i < kTile * kTile; i += kThreads) {
    const int item = i / kTile;
    const int bit = i % kTile;
    const bool inside = start + item < items.num_rows && first + bit < bits;
    tile[item][bit] = inside ? values[(start + item) * items.stride + first + bit] : 0.0f;
  }
}

// sums[i][j] += left[i] * right[j], four of each from shared memory.
__device__ __forceinline__ void multiply_add(const float* left, const float* right, float (&sums)[kOwn][kOwn]) {
  const float4 l = *reinterpret_cast<const float4*>(left);
  const float4 r = *reinterpret_cast<const float4*>(right);
  const float lefts[kOwn] = {l.x, l.y, l.z, l.w};
  const float rights[kOwn] = {r.x, r.y, r.z, r.w};
  for_each_own([&](int i, int j) { sums[i][j] = fmaf(lefts[i], rights[j], sums[i][j]); });
}

// Of rows first_row + i and columns first_column + j. Items beyond the last one count as the last one.
template <class Function>
__device__ __forceinline__ PairRelevance<Function, kOwn, kOwn> relevant_pairs(const Pairs& pairs, int64_t first_row,
                                                                              int64_t first_column) {
  const bool ids = pairs.u_labels.words == 0;
  const int words = ids ? 1 : pairs.u_labels.words;
  const uint64_t* const row_words = static_cast<const uint64_t*>(pairs.u_labels.data);
  const uint64_t* const column_words = static_cast<const uint64_t*>(pairs.v_labels.data);
  PairRelevance<Function, kOwn, kOwn> relevant;
  for (int w = 0; w < words; ++w) {
    uint64_t row[kOwn];
    uint64_t column[kOwn];
#pragma unroll
    for (int i = 0; i < kOwn; ++i) {
      row[i] = __ldg(row_words + min(first_row + i, pairs.u.num_rows - 1) * words + w);
      column[i] = __ldg(column_words + min(first_column + i, pairs.v.num_rows - 1) * words + w);
    }
    relevant.add(row, column, ids);
  }
  return relevant;
}

}  // namespace
}  // namespace hashkernels::cuda
