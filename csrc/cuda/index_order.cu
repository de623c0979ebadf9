// Precision at every relevant item, in (distance, index) order, without sorting.
//
// A first pass counts codes and relevant codes by (query, distance, chunk); prefix sums turn the counters into the
// ranks and hits that each of them starts from, and where this database is part of one, they are moved to those of the
// whole; a second pass walks the chunks again with running counters. Quotients
// are correctly rounded doubles, turned into multiples of 2^-40 and added as integers, so no order of adding can change
// a bit. Built without contraction of multiplications and additions.
#include <cuda_runtime.h>

#include <cmath>
#include <type_traits>

#include "arch.cuh"
#include "chunks.cuh"
#include "hashkernels/cuda.h"
#include "labels.cuh"
#include "launch.cuh"
#include "quotient.cuh"
#include "scan.cuh"
#include "staged.cuh"

namespace hashkernels::cuda {
namespace {

using Tuning = tuning::Staged;
using Sum = unsigned long long;

constexpr int kMaxCutoffs = 6;  // in one pass
constexpr int kQueue = 12;      // relevant codes that a thread keeps until its warp looks at them together

struct Cutoffs {
  int64_t values[kMaxCutoffs];
  int count;
};

// Over the relevant ranks after the cutoff before, up to this one. sum = low + 2^32 high.
struct Interval {
  Sum hits, low, high;
};

struct Pairs {
  Codes queries, database;
  Labels query_labels, database_labels;
  int bins;
};

// Codes in the low half, relevant ones in the high half: of a (query, distance, chunk), and what comes before it.
using Ranks = uint64_t;
constexpr Ranks kHit = Ranks{1} << 32;

__device__ __forceinline__ Ranks ranks_of(uint32_t packed) { return (packed & 0xFFFF) | (packed >> 16) * kHit; }
// Neither half overflows.
__device__ __forceinline__ Ranks with_one_more(Ranks ranks, uint32_t hits) {
  return (static_cast<uint32_t>(ranks) + 1u) | Ranks{static_cast<uint32_t>(ranks >> 32) + hits} << 32;
}
__device__ __forceinline__ uint32_t rank_of(Ranks ranks) { return static_cast<uint32_t>(ranks); }
__device__ __forceinline__ uint32_t hits_of(Ranks ranks) { return static_cast<uint32_t>(ranks >> 32); }

// Those of one (query, chunk) in global memory, chunks.count apart.
template <class T>
__device__ __forceinline__ T* ranks_at(T* ranks, int64_t query, int64_t chunk, const Chunks& chunks, int bins) {
  return ranks + query * bins * chunks.count + chunk;
}

template <class Width>
__global__ void __launch_bounds__(Tuning::kMaxThreads, Tuning::kBlocks - 1)
    count_kernel(const Pairs pairs, const StagedPlan plan, Ranks* __restrict__ ranks) {
  const StagedShare share(plan, pairs.queries.num_codes, pairs.database.num_codes);
  const Query<Width> query(pairs.queries, share.query);
  const Relevance is_relevant(pairs.query_labels, share.query, pairs.database_labels);
  const StagedColumn<uint32_t> column(arch::dynamic_shared<uint32_t>(), threadIdx.x, plan.threads);
  for (int bin = 0; bin < pairs.bins; ++bin) column[bin] = 0;
  for_each_staged(query, pairs.database, share, 0, share.block_rows, FirstLabel(pairs.database_labels),
                  CountPairs{is_relevant, column}, [] {});
  if (!share.query_exists || !share.chunk_exists) return;
  ranks = ranks_at(ranks, share.query, share.chunk, plan.chunks, pairs.bins);
  for (int bin = 0; bin < pairs.bins; ++bin) ranks[bin * plan.chunks.count] = ranks_of(column[bin]);
}

__global__ void __launch_bounds__(Tuning::kMaxThreads, Tuning::kBlocks)
    wide_count_kernel(const Pairs pairs, const Chunks chunks, Ranks* __restrict__ ranks) {
  const Share share(pairs.queries.num_codes, chunks, pairs.database.num_codes);
  if (!share.exists(chunks)) return;
  const Query<Width<0, false>> query(pairs.queries, share.query);
  const Relevance is_relevant(pairs.query_labels, share.query, pairs.database_labels);
  ranks = ranks_at(ranks, share.query, share.chunk, chunks, pairs.bins);
  for (int bin = 0; bin < pairs.bins; ++bin) ranks[bin * chunks.count] = 0;
  for_each_distance(query, pairs.database, share.first, share.last, [&](int64_t row, int distance) {
    ranks[distance * chunks.count] += is_relevant(row) ? kHit + 1 : 1;
  });
}

// Ranks that are beyond every cutoff.
constexpr int64_t kFarRank = int64_t{1} << 31;

// Moves the scanned ranks of a query and distance, of all chunks, to where `starts` lets the first of them begin.
__global__ void __launch_bounds__(Tuning::kMaxThreads)
    move_kernel(int64_t num_rows, const RankStarts starts, int64_t num_chunks, Ranks* __restrict__ ranks) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (row >= num_rows) return;
  ranks += row * num_chunks;
  const Ranks start = min(starts.ranks[row], kFarRank) | static_cast<Ranks>(starts.hits[row]) << 32;
  const Ranks shift = start - ranks[0];
  for (int64_t chunk = 0; chunk < num_chunks; ++chunk) ranks[chunk] += shift;
}

// Added to a precision, it leaves the multiple of 2^-40 that is nearest, half to even, in the low bits.
constexpr double kRounder = 0x1.8p12;

// What a thread adds up for every interval, in its columns of the shared memory of the block.
class IntervalSums {
 public:
  static constexpr int kBytes = sizeof(Sum) + sizeof(uint32_t);  // a cutoff and thread

  __device__ IntervalSums(const Cutoffs& cutoffs, Sum* shared)
      : cutoffs_(cutoffs),
        sums_(shared, threadIdx.x, blockDim.x),
        hits_(reinterpret_cast<uint32_t*>(shared + cutoffs.count * blockDim.x), threadIdx.x, blockDim.x) {
    for (int cut = 0; cut < cutoffs.count; ++cut) sums_[cut] = hits_[cut] = 0;
  }

  __device__ void add(Ranks ranks) const {
    int cut = 0;
    while (rank_of(ranks) > cutoffs_.values[cut]) {
      if (++cut == cutoffs_.count) return;
    }
    sums_[cut] += static_cast<Sum>(__double_as_longlong(quotient(hits_of(ranks), rank_of(ranks)) + kRounder));
    ++hits_[cut];
  }

  __device__ void add_to(Interval* intervals) const {
    for (int cut = 0; cut < cutoffs_.count; ++cut) {
      const uint32_t hits = hits_[cut];
      if (hits == 0) continue;
      // A chunk has too few codes for an overflow.
      const Sum sum = sums_[cut] - hits * static_cast<Sum>(__double_as_longlong(kRounder));
      atomicAdd(&intervals[cut].hits, static_cast<Sum>(hits));
      atomicAdd(&intervals[cut].low, sum & 0xFFFFFFFF);
      atomicAdd(&intervals[cut].high, sum >> 32);
    }
  }

 private:
  const Cutoffs& cutoffs_;
  StagedColumn<Sum> sums_;
  StagedColumn<uint32_t> hits_;
};

// `ranks`, scanned. intervals[query * cutoffs.count + cut] start from zero. A quotient costs as much as several pairs,
// and where one lane of a warp has a relevant code the others mostly have none: a lane puts its own in a queue, and all
// work theirs off when one of them may have no place left.
template <class Width>
__global__ void __launch_bounds__(Tuning::kMaxReplayThreads, 8)
    replay_kernel(const Pairs pairs, const StagedPlan plan, const Ranks* __restrict__ ranks,
                  const __grid_constant__ Cutoffs cutoffs, Interval* __restrict__ intervals) {
  const StagedShare share(plan, pairs.queries.num_codes, pairs.database.num_codes);
  const Query<Width> query(pairs.queries, share.query);
  const Relevance is_relevant(pairs.query_labels, share.query, pairs.database_labels);
  static_assert(sizeof(StagedTile<Width, uint64_t>) + Tuning::kReplaySharedBytes <= kSharedBytes);
  Ranks* const shared = arch::dynamic_shared<Ranks>();
  const StagedColumn<Ranks> column(shared, threadIdx.x, plan.threads);
  const StagedColumn<Ranks> queue(shared + pairs.bins * plan.threads, threadIdx.x, plan.threads);
  const IntervalSums sums(cutoffs, reinterpret_cast<Sum*>(shared + (pairs.bins + kQueue) * plan.threads));
  for (int bin = 0; bin < pairs.bins; ++bin) {
    column[bin] = share.chunk_exists
                      ? ranks_at(ranks, share.query, share.chunk, plan.chunks, pairs.bins)[bin * plan.chunks.count]
                      : 0;
  }
  const auto greatest_rank = static_cast<uint32_t>(cutoffs.values[cutoffs.count - 1]);
  const uint32_t warp = plan.threads < 32 ? (1u << plan.threads) - 1 : 0xFFFFFFFF;
  int queued = 0;
  const auto work_off = [&] {
    for (int i = 0; i < queued; ++i) sums.add(queue[i]);
    queued = 0;
  };
  for_each_staged(
      query, pairs.database, share, 0, share.block_rows, FirstLabel(pairs.database_labels),
      [&](int64_t row, const auto& distances, const auto& labels) {
        constexpr int kCount = std::extent_v<std::remove_reference_t<decltype(distances)>>;
        uint32_t additions[kCount];
        is_relevant.add_up(row, labels, additions);
#pragma unroll
        for (int i = 0; i < kCount; ++i) {
          const Ranks now = with_one_more(column[distances[i]], additions[i] >> 16);
          column[distances[i]] = now;
          if (additions[i] != Relevance::kOne && rank_of(now) <= greatest_rank) queue[queued++] = now;
        }
      },
      [&] {
        if (__any_sync(warp, queued > kQueue - Tuning::kMaxBatch)) work_off();
      });
  work_off();
  if (share.query_exists) sums.add_to(intervals + share.query * cutoffs.count);
}

__global__ void __launch_bounds__(Tuning::kMaxThreads, Tuning::kBlocks)
    wide_replay_kernel(const Pairs pairs, const Chunks chunks, Ranks* __restrict__ ranks,
                       const __grid_constant__ Cutoffs cutoffs, Interval* __restrict__ intervals) {
  const Share share(pairs.queries.num_codes, chunks, pairs.database.num_codes);
  if (!share.exists(chunks)) return;
  const Query<Width<0, false>> query(pairs.queries, share.query);
  const Relevance is_relevant(pairs.query_labels, share.query, pairs.database_labels);
  const IntervalSums sums(cutoffs, arch::dynamic_shared<Sum>());
  ranks = ranks_at(ranks, share.query, share.chunk, chunks, pairs.bins);
  for_each_distance(query, pairs.database, share.first, share.last, [&](int64_t row, int distance) {
    const bool relevant = is_relevant(row);
    const Ranks now = ranks[distance * chunks.count] + (relevant ? kHit + 1 : 1);
    ranks[distance * chunks.count] = now;
    if (relevant) sums.add(now);
  });
  sums.add_to(intervals + share.query * cutoffs.count);
}

// Running sums over the intervals of each query, at columns first_cutoff .. of results with num_cutoffs columns.
__global__ void __launch_bounds__(Tuning::kMaxThreads)
    finish_kernel(int64_t num_queries, int count, const Interval* __restrict__ intervals, int64_t num_cutoffs,
                  int64_t first_cutoff, int64_t* __restrict__ sums) {
  const int64_t query = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (query >= num_queries) return;
  Interval sum{0, 0, 0};
  for (int cut = 0; cut < count; ++cut) {
    const Interval& interval = intervals[query * count + cut];
    sum.hits += interval.hits;
    sum.low += interval.low;
    sum.high += interval.high;
    int64_t* const at = sums + query * num_cutoffs + first_cutoff + cut;
    const uint64_t high = sum.high + (sum.low >> 32), low = sum.low & 0xFFFFFFFF;
    at[0] = static_cast<int64_t>(sum.hits);
    at[num_queries * num_cutoffs] = static_cast<int64_t>(high << 12 | low >> 20);
    at[2 * num_queries * num_cutoffs] = static_cast<int64_t>(low & 0xFFFFF);
  }
}

bool is_wide(int num_bytes) { return num_bytes > kMaxWholeBytes; }

int replay_bytes(int bins) { return sizeof(Ranks) * (bins + kQueue) + IntervalSums::kBytes * kMaxCutoffs; }

// Chunks that a counter of 16 bits holds.
StagedPlan plan_passes(int64_t num_queries, int64_t num_database, int bins) {
  const int threads =
      std::min(shared_columns(replay_bytes(bins), Tuning::kReplaySharedBytes), Tuning::kMaxReplayThreads);
  return plan_staged(num_queries, num_database, threads, threads, Tuning::kMaxCounters / bins, Tuning::kMaxPackedRows);
}

Chunks plan_wide(int64_t num_queries, int64_t num_database, int bins) {
  return plan_chunks(num_queries, num_database, bins, Tuning::kMaxPackedRows);
}

struct Workspace {
  Workspace(int64_t num_queries, int64_t num_database, int num_bytes) {
    const int bins = 8 * num_bytes + 1;
    const Chunks chunks = is_wide(num_bytes) ? plan_wide(num_queries, num_database, bins)
                                             : plan_passes(num_queries, num_database, bins).chunks;
    row_length = bins * chunks.count;
    ranks = num_queries * row_length;
    scan = scan_workspace(num_queries, row_length);
    intervals = num_queries * kMaxCutoffs * static_cast<int64_t>(sizeof(Interval) / sizeof(int64_t));
  }
  int64_t row_length, ranks, scan, intervals;  // values
};

}  // namespace

int64_t index_order_workspace(int64_t num_queries, int64_t num_database, int num_bytes) noexcept {
  const Workspace workspace(num_queries, num_database, num_bytes);
  return workspace.ranks + workspace.scan + workspace.intervals;
}

Status index_order_sums(const Codes& queries, const Codes& database, Labels query_labels, Labels database_labels,
                        const RankStarts& starts, const int64_t* cutoffs, int num_cutoffs, int64_t* sums,
                        int64_t* workspace, int device, void* stream) noexcept {
  constexpr const char* kName = "index_order_sums";
  if (queries.num_codes == 0 || num_cutoffs == 0) return Status::kOk;
  if (database.num_codes > INT32_MAX || cutoffs[num_cutoffs - 1] > kFarRank) return Status::kUnsupported;
  const DeviceGuard guard(device);
  if (guard.error() != cudaSuccess) return report(kName, guard.error());
  const int64_t num_queries = queries.num_codes, num_database = database.num_codes;
  const Pairs pairs{queries, database, query_labels, database_labels, 8 * queries.num_bytes + 1};
  const Workspace sizes(num_queries, num_database, queries.num_bytes);
  Ranks* const ranks = reinterpret_cast<Ranks*>(workspace);
  int64_t* const scan_space = workspace + sizes.ranks;
  Interval* const intervals = reinterpret_cast<Interval*>(scan_space + sizes.scan);

  // Both passes, the first one unless `ranks` still is what it left.
  const auto pass = [&](const Cutoffs& group, bool counted) {
    return by_width(queries, database, [&](auto width) {
      using Words = decltype(width);
      const auto scanned = [&](cudaError_t error) {
        if (error != cudaSuccess) return error;
        error = exclusive_scan(workspace, num_queries, sizes.row_length, nullptr, scan_space, stream);
        if (error != cudaSuccess || starts.ranks == nullptr) return error;
        const int64_t num_rows = num_queries * pairs.bins;
        return launch(move_kernel, grid_for(num_rows, Tuning::kMaxThreads), Tuning::kMaxThreads, 0, stream, num_rows,
                      starts, sizes.row_length / pairs.bins, ranks);
      };
      cudaError_t error = cudaSuccess;
      if constexpr (Words::words == 0) {
        const Chunks chunks = plan_wide(num_queries, num_database, pairs.bins);
        const dim3 grid = grid_for(num_queries * chunks.count, Tuning::kMaxThreads);
        error = scanned(launch(wide_count_kernel, grid, Tuning::kMaxThreads, 0, stream, pairs, chunks, ranks));
        if (error != cudaSuccess) return error;
        return launch(wide_replay_kernel, grid, Tuning::kMaxThreads,
                      IntervalSums::kBytes * group.count * Tuning::kMaxThreads, stream, pairs, chunks, ranks, group,
                      intervals);
      } else {
        const StagedPlan plan = plan_passes(num_queries, num_database, pairs.bins);
        if (!counted) {
          error = scanned(launch(count_kernel<Words>, plan.grid(), plan.threads,
                                 sizeof(uint32_t) * pairs.bins * plan.threads, stream, pairs, plan, ranks));
        }
        if (error != cudaSuccess) return error;
        return launch(replay_kernel<Words>, plan.grid(), plan.threads, replay_bytes(pairs.bins) * plan.threads, stream,
                      pairs, plan, ranks, group, intervals);
      }
    });
  };
  cudaError_t error = cudaSuccess;
  for (int first = 0; first < num_cutoffs && error == cudaSuccess; first += kMaxCutoffs) {
    Cutoffs group{};
    for (; group.count < kMaxCutoffs && first + group.count < num_cutoffs; ++group.count) {
      group.values[group.count] = cutoffs[first + group.count];
    }
    error =
        cudaMemsetAsync(intervals, 0, sizeof(Interval) * num_queries * group.count, static_cast<cudaStream_t>(stream));
    if (error == cudaSuccess) error = pass(group, first > 0);
    if (error != cudaSuccess) break;
    error = launch(finish_kernel, grid_for(num_queries, Tuning::kMaxThreads), Tuning::kMaxThreads, 0, stream,
                   num_queries, group.count, intervals, num_cutoffs, first, sums);
  }
  return report(kName, error);
}

}  // namespace hashkernels::cuda
