// Codes nearer than a limit, by the binary matrix products of compute capability 8.0 to 9.0.
//
// They count the bits that two rows have in common. A slice of 64 bits of a query enters as [q, ~q], one of a code as
// [~c, c]: what these have in common are the bits in which q and c differ. Products begin at minus the query's limit,
// so that a pair is found where the sum is negative, and the sums of many pairs are looked through at once by their
// signs.
//
// A warp keeps tiles of 16 queries and walks its part of the rows, 8 at a time and product. What it finds goes
// through a buffer in shared memory: the trip to the counters in global memory takes longer than all products of a
// step, and from the buffer 32 of them are under way together.
#include <cuda_runtime.h>

#include <algorithm>

#include "arch.cuh"
#include "candidates.cuh"
#include "tuning.cuh"
#include "words.cuh"

namespace hashkernels::cuda {
namespace {

using Tuning = tuning::BinaryFiltering;

constexpr int kThreads = 32 * Tuning::kWarps;
template <int slices>
constexpr int kQueryTiles = slices <= 2 ? Tuning::kQueryTiles : Tuning::kWideQueryTiles;
template <int slices>
constexpr int kWarpQueries = 16 * kQueryTiles<slices>;
constexpr int kColumns = Tuning::kColumns;
constexpr int kGroup = 8 * kColumns;  // rows of the database that a warp looks at together
constexpr uint32_t kAllLanes = 0xFFFFFFFF;

// Pairs that a warp has found and not handed on yet.
struct Found {
  int64_t rows[Tuning::kBuffer];
  int queries[Tuning::kBuffer];
  int size;
};

class Buffer {
 public:
  __device__ Buffer(Found& found, const Filter& filter, int64_t first_query, int lane)
      : found_(found), filter_(filter), first_query_(first_query), lane_(lane) {
    if (lane == 0) found.size = 0;
    __syncwarp();  // the buffer is empty
  }

  // By some lanes.
  __device__ void add(int query, int64_t row) {
    const int at = atomicAdd(&found_.size, 1);
    if (at < Tuning::kBuffer) {
      found_.rows[at] = row;
      found_.queries[at] = query;
    } else {
      append(query, row);
    }
  }

  // By all lanes.
  __device__ void hand_on(int at_least) {
    __syncwarp();  // what was found is there
    const int size = min(found_.size, Tuning::kBuffer);
    if (size < at_least) return;
    for (int i = lane_; i < size; i += 32) append(found_.queries[i], found_.rows[i]);
    __syncwarp();  // all have read what was found
    if (lane_ == 0) found_.size = 0;
    __syncwarp();  // the buffer is empty again
  }

 private:
  // The distance is counted again, which takes less than keeping all sums for the few that are negative.
  __device__ void append(int query, int64_t row) const {
    if (!filter_.finds(row)) return;
    const Query<Width<0, false>> code(filter_.queries, first_query_ + query);
    const int distance = code.distance(filter_.database.data + row * filter_.database.stride);
    filter_.found.append(first_query_ + query, candidate_key(distance, row));
  }

  Found& found_;
  const Filter& filter_;
  int64_t first_query_;
  int lane_;
};

// The words of this lane in every slice of a code: lanes of a code have its two words and the inverses of both.
template <int slices, bool whole>
__device__ __forceinline__ void load_slices(const Codes& codes, int64_t row, bool exists, int word, uint32_t inverse,
                                            uint32_t (&out)[slices]) {
#pragma unroll
  for (int s = 0; s < slices; ++s) {
    uint32_t value = 0;
    if (exists) {
      const uint8_t* const code = codes.data + row * codes.stride;
      value = whole ? __ldg(reinterpret_cast<const uint32_t*>(code) + 2 * s + word)
                    : load_word(code, codes.num_bytes, 2 * s + word);
    }
    out[s] = value ^ inverse;
  }
}

struct Shared {
  Found found[Tuning::kWarps];
};

template <int slices, bool whole>
__device__ __forceinline__ void walk(const Filter& filter, int64_t query_tiles, int64_t rows_per_warp) {
  Shared& shared = arch::shared_object<Shared>();
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int64_t warp = static_cast<int64_t>(blockIdx.x) * Tuning::kWarps + threadIdx.x / 32;
  // Neighbouring warps read the same rows.
  const int64_t first_query = warp % query_tiles * kWarpQueries<slices>;
  const int64_t first_row = filter.first + warp / query_tiles * rows_per_warp;
  const int64_t last_row = min(first_row + rows_per_warp, filter.last);
  if (first_row >= last_row) return;  // a warp left over in the last block
  const int word = lane % 2;
  const uint32_t inverse = lane % 4 < 2 ? 0 : ~0u;  // of queries; of codes the other way round

  constexpr int kTiles = kQueryTiles<slices>;
  uint32_t queries[kTiles][2][slices];
  int starts[kTiles][2];
#pragma unroll
  for (int t = 0; t < kTiles; ++t) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int64_t query = first_query + 16 * t + 8 * i + lane / 4;
      const bool exists = query < filter.queries.num_codes;
      load_slices<slices, whole>(filter.queries, query, exists, word, inverse, queries[t][i]);
      starts[t][i] = exists ? -filter.found.limits[query] : 0;  // no sum is less than that
    }
  }
  Buffer buffer(shared.found[threadIdx.x / 32], filter, first_query, lane);

  const auto load = [&](int64_t first, uint32_t (&codes)[kColumns][slices]) {
#pragma unroll
    for (int c = 0; c < kColumns; ++c) {
      const int64_t row = first + 8 * c + lane / 4;
      load_slices<slices, whole>(filter.database, row, row < last_row, word, ~inverse, codes[c]);
    }
  };
  uint32_t next[kColumns][slices];
  load(first_row, next);
  for (int64_t first = first_row; first < last_row; first += kGroup) {
    uint32_t codes[kColumns][slices];
#pragma unroll
    for (int c = 0; c < kColumns; ++c) {
#pragma unroll
      for (int s = 0; s < slices; ++s) codes[c][s] = next[c][s];
    }
    load(first + kGroup, next);

    int sums[kTiles][kColumns][4];
    int any = 0;
#pragma unroll
    for (int t = 0; t < kTiles; ++t) {
#pragma unroll
      for (int c = 0; c < kColumns; ++c) {
        arch::common_bits(sums[t][c], queries[t][0], queries[t][1], codes[c], starts[t]);
#pragma unroll
        for (int e = 0; e < 4; ++e) any |= sums[t][c][e];
      }
    }
    if (__any_sync(kAllLanes, any < 0) == 0) continue;
    uint32_t negative = 0;  // of the sums of this lane, in their order
#pragma unroll
    for (int t = 0; t < kTiles; ++t) {
#pragma unroll
      for (int c = 0; c < kColumns; ++c) {
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          negative |= (static_cast<uint32_t>(sums[t][c][e]) >> 31) << ((t * kColumns + c) * 4 + e);
        }
      }
    }
    for (; negative != 0; negative &= negative - 1) {
      const int sum = __ffs(negative) - 1;
      const int64_t row = first + sum / 4 % kColumns * 8 + lane % 4 * 2 + sum % 2;
      const int query = sum / (4 * kColumns) * 16 + sum / 2 % 2 * 8 + lane / 4;
      if (row < last_row) buffer.add(query, row);
    }
    buffer.hand_on(Tuning::kBuffer / 2);
  }
  buffer.hand_on(1);
}

template <int slices, bool whole>
__global__ void __launch_bounds__(kThreads, slices == 1 && whole ? Tuning::kBlocks : Tuning::kWideBlocks)
    binary_filter_kernel(const Filter filter, int64_t query_tiles, int64_t rows_per_warp) {
  if (arch::kBinaryProducts) walk<slices, whole>(filter, query_tiles, rows_per_warp);
}

template <int slices>
cudaError_t launch_for(const Filter& filter, void* stream) {
  const int64_t query_tiles = divide_up(filter.queries.num_codes, kWarpQueries<slices>);
  const int64_t rows = filter.last - filter.first;
  const int64_t parts = std::max<int64_t>(Tuning::kTargetWarps / query_tiles, 1);
  const int64_t rows_per_warp = divide_up(std::max(divide_up(rows, parts), Tuning::kMinRows), kGroup) * kGroup;
  const int64_t warps = query_tiles * divide_up(rows, rows_per_warp);
  const auto is_whole = [](const Codes& codes) {
    return codes.num_bytes == 8 * slices && codes.stride % 4 == 0 && reinterpret_cast<uintptr_t>(codes.data) % 4 == 0;
  };
  const bool whole = is_whole(filter.queries) && is_whole(filter.database);
  return launch(whole ? binary_filter_kernel<slices, true> : binary_filter_kernel<slices, false>,
                grid_for(warps, Tuning::kWarps), kThreads, 0, stream, filter, query_tiles, rows_per_warp);
}

}  // namespace

cudaError_t filter_by_matrices(const Filter& filter, void* stream) noexcept {
  if (filter.queries.num_bytes <= 8) return launch_for<1>(filter, stream);
  if (filter.queries.num_bytes <= 16) return launch_for<2>(filter, stream);
  return launch_for<4>(filter, stream);
}

}  // namespace hashkernels::cuda
