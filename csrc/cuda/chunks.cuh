// The passes that count, and those that then put each code in its place, give every thread one query and one chunk of
// the database, which it walks in the order of the index: ranks come out right without any thread waiting for another.
// Neighbouring threads have neighbouring queries and the same chunk, so that a code is read once a warp.
//
// Each (query, chunk) counts codes by distance. Where the counters of a block fit in shared memory, thread t has column
// t of them: no bank conflicts, no atomics. Counters of wide codes lie in global memory.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>

#include "launch.cuh"
#include "tuning.cuh"
#include "words.cuh"

namespace hashkernels::cuda {

struct Chunks {
  int64_t rows;   // a chunk, the last one has what is left
  int64_t count;  // at least 1
};

// `counters_per_chunk`: what one query leaves behind for each chunk, 0 where nothing.
inline Chunks plan_chunks(int64_t num_queries, int64_t num_database, int64_t counters_per_chunk,
                          int64_t max_rows = INT64_MAX) {
  using Tuning = tuning::Chunks;
  const int64_t queries = std::max<int64_t>(num_queries, 1);
  int64_t count = Tuning::kTargetThreads / queries;
  if (counters_per_chunk > 0) count = std::min(count, Tuning::kMaxCounters / (queries * counters_per_chunk));
  count = std::max<int64_t>(std::min(count, num_database / Tuning::kMinRows), 1);
  const int64_t rows = std::min(std::max<int64_t>(divide_up(num_database, count), 1), max_rows);
  return {rows, std::max<int64_t>(divide_up(num_database, rows), 1)};
}

// Threads a block whose counters, `bins` of 32 bits a thread, fit in shared memory; 0 where too few would.
inline int counting_threads(int64_t bins) {
  using Tuning = tuning::Chunks;
  for (int threads = Tuning::kMaxThreads; threads >= Tuning::kMinThreads; threads /= 2) {
    if (bins * threads * 4 <= Tuning::kSharedBytes) return threads;
  }
  return 0;
}

// The query and the chunk of this thread.
struct Share {
  __device__ Share(int64_t num_queries, const Chunks& chunks, int64_t num_database) {
    const int64_t id = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    chunk = id / num_queries;
    query = id - chunk * num_queries;
    first = chunk * chunks.rows;
    last = min(first + chunks.rows, num_database);
  }

  // False for the threads left over in the last block.
  __device__ bool exists(const Chunks& chunks) const { return chunk < chunks.count; }

  int64_t query, chunk;
  int64_t first, last;  // rows of the database
};

// The counters of this thread in the dynamic shared memory of its block.
class SharedColumn {
 public:
  __device__ SharedColumn(uint32_t* shared, int64_t bins) : column_(shared + threadIdx.x), bins_(bins) { clear(); }

  __device__ uint32_t& operator[](int64_t bin) { return column_[bin * blockDim.x]; }
  __device__ void clear() {
    for (int64_t bin = 0; bin < bins_; ++bin) (*this)[bin] = 0;
  }

 private:
  uint32_t* column_;
  int64_t bins_;
};

// visit(row, distance) for each row of the share, in order.
template <class Width, class Visit>
__device__ __forceinline__ void for_each_distance(const Query<Width>& query, const Codes& database, int64_t first,
                                                  int64_t last, Visit&& visit) {
  const uint8_t* code = database.data + first * database.stride;
#pragma unroll 4
  for (int64_t row = first; row < last; ++row, code += database.stride) visit(row, query.distance(code));
}

}  // namespace hashkernels::cuda
