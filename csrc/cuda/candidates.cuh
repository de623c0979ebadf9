// What a search by limits passes from kernel to kernel (topk.cu).
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "hashkernels/codes.h"
#include "launch.cuh"

namespace hashkernels::cuda {

// A code as a number that orders by (distance, index).
constexpr int kRowBits = 40;
__device__ __forceinline__ uint64_t candidate_key(int distance, int64_t row) {
  return static_cast<uint64_t>(distance) << kRowBits | static_cast<uint64_t>(row);
}
__device__ __forceinline__ int distance_of(uint64_t key) { return static_cast<int>(key >> kRowBits); }

// The codes of each query that may be among its k nearest.
struct Candidates {
  int64_t num_queries;
  int64_t capacity;  // of a query
  uint64_t* keys;    // [num_queries][capacity], in any order
  uint32_t* counts;  // [num_queries] how many there were; what came after `capacity` of them is lost
  int32_t* limits;   // [num_queries] codes at this distance or further are none
  uint32_t* failed;  // [num_queries] whether some were lost, and behind them how many queries have

  __device__ void append(int64_t query, uint64_t key) const {
    const uint32_t at = atomicAdd(counts + query, 1u);
    if (at < capacity) keys[query * capacity + at] = key;
  }
};

// Rows first ... last of the database, which holds every step-th code of the whole one.
struct Filter {
  Codes queries, database;
  const uint8_t* allowed;  // by the rows of the whole, null for all
  int64_t step;
  int64_t first, last;
  Candidates found;

  __device__ bool finds(int64_t row) const { return row < last && (allowed == nullptr || allowed[row * step] != 0); }
};

// Appends what is nearer than its query's limit, by population counts.
cudaError_t filter(const Filter& filter, void* stream) noexcept;

// The same by binary matrix products, for codes of at most kMaxBinaryBytes on devices that have them.
constexpr int kMaxBinaryBytes = 32;
cudaError_t filter_by_matrices(const Filter& filter, void* stream) noexcept;

// No candidates yet, and everything may be one.
cudaError_t begin(const Candidates& candidates, int bins, void* stream) noexcept;

// Sets the limits to the distance of the k-th candidate, where there are as many: a code that comes later lies behind
// k others from there on. After a sample, whose codes come again, limits are one more and the candidates are dropped.
cudaError_t tighten(const Candidates& candidates, int64_t k, int bins, bool sample, void* stream) noexcept;

// The k nearest candidates in order, padded with (INT32_MAX, -1). Marks the queries of which some were lost, or too
// many lie as near as the k-th.
cudaError_t select(const Candidates& candidates, int64_t k, int bins, int32_t* distances, int64_t* indices,
                   void* stream) noexcept;

}  // namespace hashkernels::cuda
