// The two passes of a search for a few queries. A warp has a query and a chunk of the database, and its lanes read
// neighbouring codes, 16 bytes each where codes lie side by side: too few queries to share what they read must read it
// as fast as memory gives it. Ranks within a chunk come from votes.
#pragma once

#include <cuda_runtime.h>

#include <climits>
#include <cstdint>

#include "arch.cuh"
#include "chunks.cuh"
#include "tuning.cuh"
#include "words.cuh"

namespace hashkernels::cuda {

inline Chunks plan_warp_chunks(int64_t num_queries, int64_t num_database, int64_t counters_per_chunk) {
  using Tuning = tuning::Chunks;
  const int64_t queries = std::max<int64_t>(num_queries, 1);
  int64_t count = std::min(Tuning::kTargetWarps / queries, Tuning::kMaxCounters / (queries * counters_per_chunk));
  count = std::max<int64_t>(std::min(count, num_database / Tuning::kMinWarpRows), 1);
  // Whole steps of a warp, so that vectors of codes begin where memory does.
  const int64_t rows = divide_up(std::max<int64_t>(num_database, 1), count * Tuning::kWarpStep) * Tuning::kWarpStep;
  return {rows, std::max<int64_t>(divide_up(num_database, rows), 1)};
}

// The query and the chunk of this warp. Neighbouring warps have the same chunk.
struct WarpShare {
  __device__ WarpShare(int64_t num_queries, const Chunks& chunks, int64_t num_database) : lane(threadIdx.x % 32) {
    const int64_t id = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) / 32;
    chunk = id / num_queries;
    query = id - chunk * num_queries;
    first = chunk * chunks.rows;
    last = min(first + chunks.rows, num_database);
  }

  // False for the warps left over in the last block.
  __device__ bool exists(const Chunks& chunks) const { return chunk < chunks.count; }

  int lane;
  int64_t query, chunk;
  int64_t first, last;  // rows of the database
};

// Codes that a lane reads at once: as many as 16 bytes hold. Then they lie side by side, from a multiple of 16 bytes
// on.
template <class Width>
constexpr int kLaneCodes = Width::whole && Width::words < 4 ? 4 / Width::words : 1;

constexpr int kNoCode = INT_MAX;  // the distance of what lies past the end

// The distances of codes row ... row + kLaneCodes; `whole`: all of them lie before `last`.
template <bool whole, class Width>
__device__ __forceinline__ void lane_distances(const Query<Width>& query, const Codes& database, int64_t row,
                                               int64_t last, int (&distances)[kLaneCodes<Width>]) {
  const uint8_t* const code = database.data + row * database.stride;
  if constexpr (whole && kLaneCodes<Width> > 1) {
    const uint4 vector = __ldg(reinterpret_cast<const uint4*>(code));
    const uint32_t words[4] = {vector.x, vector.y, vector.z, vector.w};
#pragma unroll
    for (int i = 0; i < kLaneCodes<Width>; ++i) distances[i] = query.distance_to(words + i * Width::words);
  } else {
#pragma unroll
    for (int i = 0; i < kLaneCodes<Width>; ++i) {
      distances[i] = whole || row + i < last ? query.distance(code + i * database.stride) : kNoCode;
    }
  }
}

// visit(row, distances) by all lanes together, for codes row ... row + kLaneCodes of each, in order.
template <class Width, class Visit>
__device__ __forceinline__ void for_each_lane_codes(const Query<Width>& query, const Codes& database,
                                                    const WarpShare& share, Visit&& visit) {
  constexpr int kCodes = kLaneCodes<Width>;
  constexpr int kStep = 32 * kCodes;
  int64_t start = share.first;
#pragma unroll 4
  for (; start + kStep <= share.last; start += kStep) {
    int distances[kCodes];
    lane_distances<true>(query, database, start + share.lane * kCodes, share.last, distances);
    visit(start + share.lane * kCodes, distances);
  }
  if (start < share.last) {
    int distances[kCodes];
    lane_distances<false>(query, database, start + share.lane * kCodes, share.last, distances);
    visit(start + share.lane * kCodes, distances);
  }
}

// Places codes of a warp's chunk, those at greater distances than `greatest` left out. places[distance * step] is where
// the next code at that distance goes.
class WarpPlacer {
 public:
  __device__ WarpPlacer(int64_t* places, int64_t step, int64_t limit, int greatest, int lane)
      : places_(places), step_(step), limit_(limit), greatest_(greatest), lane_(lane) {}

  // write(place, code i, distance) for the codes that have a place. `allowed`: a bit a code.
  template <int codes, class Write>
  __device__ __forceinline__ void place(const int (&distances)[codes], uint32_t allowed, Write&& write) {
    uint32_t left = allowed;
    while (true) {
      int nearest = kNoCode;
#pragma unroll
      for (int i = codes - 1; i >= 0; --i) {
        if (distances[i] > greatest_) left &= ~(1u << i);
        if ((left >> i & 1) != 0) nearest = distances[i];
      }
      const uint32_t lanes = __ballot_sync(kAllLanes, left != 0);
      if (lanes == 0) return;
      // All codes at the distance of the first one, in the order of lanes, and of codes in a lane.
      const int distance = __shfl_sync(kAllLanes, nearest, __ffs(lanes) - 1);
      uint32_t own = 0;
#pragma unroll
      for (int i = 0; i < codes; ++i) own |= (left >> i & 1) != 0 && distances[i] == distance ? 1u << i : 0;
      left &= ~own;
      int64_t* const next = places_ + distance * step_;
      int64_t to = *next + before(own, codes);
      const int64_t end = *next + in_warp(own, codes);
#pragma unroll
      for (int i = 0; i < codes; ++i) {
        if ((own >> i & 1) == 0) continue;
        if (to < limit_) write(to, i, distance);
        ++to;
      }
      __syncwarp();  // all have read where the next one goes
      if (lane_ == 0) *next = end;
      __syncwarp();  // and see where the one after goes
      if (end >= limit_) greatest_ = distance - 1;
    }
  }

 private:
  static constexpr uint32_t kAllLanes = 0xFFFFFFFF;

  // Sum over the lanes in `lanes` of the number of bits of `own`, of at most `codes`.
  __device__ static int sum(uint32_t own, int codes, uint32_t lanes) {
    const int count = __popc(own);
    int total = 0;
#pragma unroll
    for (int bit = 0; codes >> bit != 0; ++bit) {
      total += __popc(__ballot_sync(kAllLanes, (count >> bit & 1) != 0) & lanes) << bit;
    }
    return total;
  }
  __device__ int before(uint32_t own, int codes) const { return sum(own, codes, (1u << lane_) - 1); }
  __device__ static int in_warp(uint32_t own, int codes) { return sum(own, codes, kAllLanes); }

  int64_t* places_;
  int64_t step_, limit_;
  int greatest_, lane_;
};

// launch(Width) with one of the widths of codes that warps read.
template <class Launch>
cudaError_t by_warp_width(const Codes& queries, const Codes& database, Launch&& launch) {
  const bool dense = database.stride == database.num_bytes && reinterpret_cast<uintptr_t>(database.data) % 16 == 0;
  if (dense && is_whole<1>(queries)) return launch(Width<1, true>{});
  if (dense && is_whole<2>(queries)) return launch(Width<2, true>{});
  if (dense && is_whole<4>(queries)) return launch(Width<4, true>{});
  if (dense && is_whole<8>(queries)) return launch(Width<8, true>{});
  if (queries.num_bytes <= 32) return launch(Width<8, false>{});
  return launch(Width<0, false>{});
}

}  // namespace hashkernels::cuda
