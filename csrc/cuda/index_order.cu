// Precision at every relevant item, in (distance, index) order, without sorting.
//
// A first pass counts codes and relevant codes by (query, distance, chunk); prefix sums turn the counters into the
// ranks and hits that each of them starts from; a second pass walks the chunks again with running counters. Quotients
// are correctly rounded doubles, turned into multiples of 2^-40 and added as integers, so no order of adding can change
// a bit. Built without contraction of multiplications and additions.
#include <cuda_runtime.h>

#include <cmath>

#include "arch.cuh"
#include "chunks.cuh"
#include "hashkernels/cuda.h"
#include "labels.cuh"
#include "launch.cuh"
#include "scan.cuh"

namespace hashkernels::cuda {
namespace {

using Tuning = tuning::Chunks;
using Sum = unsigned long long;

constexpr int kMaxCutoffs = 32;  // in one pass

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
  int64_t bins;
  Chunks chunks;
};

// Counters of one (query, chunk) in global memory: [bin * chunks.count].
struct GlobalCounters {
  int64_t* total;
  int64_t* relevant;
  int64_t step;

  __device__ GlobalCounters(const Pairs& pairs, const Share& share, int64_t* totals, int64_t* relevants)
      : step(pairs.chunks.count) {
    const int64_t first = share.query * pairs.bins * step + share.chunk;
    total = totals + first;
    relevant = relevants + first;
  }
};

template <class Width, bool in_shared>
__global__ void __launch_bounds__(Tuning::kMaxThreads, Tuning::kBlocks)
    count_kernel(const Pairs pairs, int64_t* __restrict__ totals, int64_t* __restrict__ relevants) {
  const Share share(pairs.queries.num_codes, pairs.chunks, pairs.database.num_codes);
  if (!share.exists(pairs.chunks)) return;
  const Query<Width> query(pairs.queries, share.query);
  const Relevance is_relevant(pairs.query_labels, share.query, pairs.database_labels);
  const GlobalCounters counters(pairs, share, totals, relevants);
  if constexpr (in_shared) {
    SharedColumn column(arch::dynamic_shared<uint32_t>(), pairs.bins);
    for_each_distance(query, pairs.database, share.first, share.last,
                      [&](int64_t row, int distance) { column[distance] += is_relevant(row) ? 0x10001u : 1u; });
    for (int64_t bin = 0; bin < pairs.bins; ++bin) {
      const uint32_t count = column[bin];
      counters.total[bin * counters.step] = count & 0xFFFF;
      counters.relevant[bin * counters.step] = count >> 16;
    }
  } else {
    for (int64_t bin = 0; bin < pairs.bins; ++bin) {
      counters.total[bin * counters.step] = 0;
      counters.relevant[bin * counters.step] = 0;
    }
    for_each_distance(query, pairs.database, share.first, share.last, [&](int64_t row, int distance) {
      ++counters.total[distance * counters.step];
      if (is_relevant(row)) ++counters.relevant[distance * counters.step];
    });
  }
}

// The interval that this thread is adding to, and what it has added since it came to it.
class IntervalSum {
 public:
  __device__ IntervalSum(const Cutoffs& cutoffs, Interval* intervals) : cutoffs_(cutoffs), intervals_(intervals) {}

  __device__ void add(int64_t hits, int64_t rank) {
    int cut = 0;
    while (cut < cutoffs_.count && rank > cutoffs_.values[cut]) ++cut;
    if (cut == cutoffs_.count) return;
    if (cut != cut_) {
      flush();
      cut_ = cut;
    }
    const double precision = static_cast<double>(hits) / static_cast<double>(rank);
    sum_ += static_cast<Sum>(llrint(precision * 0x1p40));  // a chunk has too few codes for an overflow
    ++hits_;
  }

  __device__ void flush() {
    if (hits_ == 0) return;
    atomicAdd(&intervals_[cut_].hits, hits_);
    atomicAdd(&intervals_[cut_].low, sum_ & 0xFFFFFFFF);
    atomicAdd(&intervals_[cut_].high, sum_ >> 32);
    hits_ = sum_ = 0;
  }

 private:
  const Cutoffs& cutoffs_;
  Interval* intervals_;
  int cut_ = 0;
  Sum hits_ = 0, sum_ = 0;
};

// totals and relevants, scanned. intervals[query * cutoffs.count + cut] start from zero.
template <class Width, bool in_shared>
__global__ void __launch_bounds__(Tuning::kMaxThreads, Tuning::kBlocks)
    replay_kernel(const Pairs pairs, int64_t* __restrict__ totals, int64_t* __restrict__ relevants,
                  const Cutoffs cutoffs, Interval* __restrict__ intervals) {
  const Share share(pairs.queries.num_codes, pairs.chunks, pairs.database.num_codes);
  if (!share.exists(pairs.chunks)) return;
  const Query<Width> query(pairs.queries, share.query);
  const Relevance is_relevant(pairs.query_labels, share.query, pairs.database_labels);
  const GlobalCounters counters(pairs, share, totals, relevants);
  IntervalSum sum(cutoffs, intervals + share.query * cutoffs.count);
  if constexpr (in_shared) {
    SharedColumn column(arch::dynamic_shared<uint32_t>(), pairs.bins);
    for_each_distance(query, pairs.database, share.first, share.last, [&](int64_t row, int distance) {
      const bool relevant = is_relevant(row);
      const uint32_t count = column[distance] + (relevant ? 0x10001u : 1u);
      column[distance] = count;
      if (relevant) {
        const int64_t at = distance * counters.step;
        sum.add(counters.relevant[at] + (count >> 16), counters.total[at] + (count & 0xFFFF));
      }
    });
  } else {
    for_each_distance(query, pairs.database, share.first, share.last, [&](int64_t row, int distance) {
      const int64_t at = distance * counters.step;
      const int64_t rank = ++counters.total[at];
      if (is_relevant(row)) sum.add(++counters.relevant[at], rank);
    });
  }
  sum.flush();
}

// high * 2^64 + low, correctly rounded.
__device__ double to_double(uint64_t high, uint64_t low) {
  if (high == 0) return static_cast<double>(low);
  const int shift = 64 - __clzll(static_cast<int64_t>(high));
  const uint64_t lost = low << (64 - shift);
  const uint64_t leading = high << (64 - shift) | low >> shift | (lost != 0 ? 1 : 0);
  return static_cast<double>(leading) * static_cast<double>(uint64_t{1} << shift);
}

// Running sums over the intervals of each query, at columns first_cutoff .. of results with num_cutoffs columns.
__global__ void __launch_bounds__(Tuning::kMaxThreads, Tuning::kBlocks)
    finish_kernel(int64_t num_queries, int count, const Interval* __restrict__ intervals, int64_t num_cutoffs,
                  int64_t first_cutoff, int64_t* __restrict__ hits, double* __restrict__ precision_sum) {
  const int64_t query = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (query >= num_queries) return;
  Interval sum{0, 0, 0};
  for (int cut = 0; cut < count; ++cut) {
    const Interval& interval = intervals[query * count + cut];
    sum.hits += interval.hits;
    sum.low += interval.low;
    sum.high += interval.high;
    const uint64_t low = (sum.high << 32) + sum.low;
    const uint64_t high = (sum.high >> 32) + (low < sum.low ? 1 : 0);
    const int64_t at = query * num_cutoffs + first_cutoff + cut;
    hits[at] = static_cast<int64_t>(sum.hits);
    precision_sum[at] = to_double(high, low) * 0x1p-40;
  }
}

Chunks plan(int64_t num_queries, int64_t num_database, int64_t bins) {
  return plan_chunks(num_queries, num_database, 2 * bins, Tuning::kMaxPackedRows);
}

}  // namespace

int64_t index_order_workspace(int64_t num_queries, int64_t num_database, int num_bytes) noexcept {
  const int64_t bins = 8 * int64_t{num_bytes} + 1;
  const int64_t row_length = bins * plan(num_queries, num_database, bins).count;
  return 2 * num_queries * row_length + scan_workspace(2 * num_queries, row_length) +
         num_queries * kMaxCutoffs * static_cast<int64_t>(sizeof(Interval) / sizeof(int64_t));
}

Status index_order_precision(const Codes& queries, const Codes& database, Labels query_labels, Labels database_labels,
                             const int64_t* cutoffs, int num_cutoffs, int64_t* hits, double* precision_sum,
                             int64_t* workspace, int device, void* stream) noexcept {
  constexpr const char* kName = "index_order_precision";
  if (queries.num_codes == 0 || num_cutoffs == 0) return Status::kOk;
  const DeviceGuard guard(device);
  if (guard.error() != cudaSuccess) return report(kName, guard.error());
  const int64_t bins = 8 * int64_t{queries.num_bytes} + 1;
  const Pairs pairs{queries,         database, query_labels,
                    database_labels, bins,     plan(queries.num_codes, database.num_codes, bins)};
  const int64_t row_length = bins * pairs.chunks.count;
  int64_t* const relevants = workspace + queries.num_codes * row_length;  // right behind the totals: one scan for both
  int64_t* const scan_space = relevants + queries.num_codes * row_length;
  Interval* const intervals =
      reinterpret_cast<Interval*>(scan_space + scan_workspace(2 * queries.num_codes, row_length));

  const int threads = counting_threads(bins);
  const int block = threads == 0 ? Tuning::kMaxThreads : threads;
  const dim3 grid = grid_for(queries.num_codes * pairs.chunks.count, block);
  const size_t shared_bytes = threads * bins * sizeof(uint32_t);
  const auto launch_pass = [&](auto kernel, auto... arguments) {
    return launch(kernel, grid, block, shared_bytes, stream, pairs, workspace, relevants, arguments...);
  };
  cudaError_t error = cudaSuccess;
  for (int first = 0; first < num_cutoffs && error == cudaSuccess; first += kMaxCutoffs) {
    Cutoffs group{};
    for (; group.count < kMaxCutoffs && first + group.count < num_cutoffs; ++group.count) {
      group.values[group.count] = cutoffs[first + group.count];
    }
    error = cudaMemsetAsync(intervals, 0, sizeof(Interval) * queries.num_codes * group.count,
                            static_cast<cudaStream_t>(stream));
    if (error != cudaSuccess) break;
    error = threads == 0 ? launch_pass(count_kernel<Width<0, false>, false>)
                         : by_width(queries, database,
                                    [&](auto width) { return launch_pass(count_kernel<decltype(width), true>); });
    if (error != cudaSuccess) break;
    error = exclusive_scan(workspace, 2 * queries.num_codes, row_length, nullptr, scan_space, stream);
    if (error != cudaSuccess) break;
    error = threads == 0 ? launch_pass(replay_kernel<Width<0, false>, false>, group, intervals)
                         : by_width(queries, database, [&](auto width) {
                             return launch_pass(replay_kernel<decltype(width), true>, group, intervals);
                           });
    if (error != cudaSuccess) break;
    error = launch(finish_kernel, grid_for(queries.num_codes, Tuning::kMaxThreads), Tuning::kMaxThreads, 0, stream,
                   queries.num_codes, group.count, intervals, num_cutoffs, first, hits, precision_sum);
  }
  return report(kName, error);
}

}  // namespace hashkernels::cuda
