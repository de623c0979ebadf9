// Codes and relevant codes at each distance. A pair costs its population counts and one addition in shared memory: the
// low half of a counter counts codes, the high half relevant ones, so a chunk is counted in pieces that 16 bits hold.
//
// A query has one column of counters in a block. The wider the codes, the fewer columns fit and the more chunks share
// each of them. Of codes too wide even for that, the counters lie in global memory.
#include <cuda_runtime.h>

#include "arch.cuh"
#include "chunks.cuh"
#include "hashkernels/cuda.h"
#include "labels.cuh"
#include "launch.cuh"
#include "staged.cuh"

namespace hashkernels::cuda {
namespace {

using Tuning = tuning::Staged;
using Counter = unsigned long long;

template <class Width>
__global__ void __launch_bounds__(Tuning::kMaxThreads, Tuning::kBlocks)
    retrieval_counts_kernel(const Codes queries, const Codes database, const Labels query_labels,
                            const Labels database_labels, const StagedPlan plan, int bins, Counter* __restrict__ total,
                            Counter* __restrict__ relevant) {
  const StagedShare share(plan, queries.num_codes, database.num_codes);
  const Query<Width> query(queries, share.query);
  const Relevance is_relevant(query_labels, share.query, database_labels);
  const FirstLabel first_label(database_labels);
  static_assert(sizeof(StagedTile<Width, uint64_t>) + Tuning::kSharedBytes <= kSharedBytes);
  const StagedColumn<uint32_t> column(arch::dynamic_shared<uint32_t>(), share.slot, plan.queries);
  total += share.query * bins;
  relevant += share.query * bins;

  const int chunks = 1 << share.chunks_log2;
  const int64_t piece = Tuning::kMaxPackedRows >> share.chunks_log2;
  for (int bin = share.place; bin < bins; bin += chunks) column[bin] = 0;
  for (int64_t begin = 0; begin < share.block_rows; begin += piece) {
    for_each_staged(query, database, share, begin, begin + piece, first_label, CountPairs{is_relevant, column}, [] {});
    __syncthreads();  // the counters of all chunks are there
    for (int bin = share.place; bin < bins; bin += chunks) {
      const uint32_t count = column[bin];
      if (count == 0 || !share.query_exists) continue;
      atomicAdd(total + bin, static_cast<Counter>(count & 0xFFFF));
      if (count >> 16 != 0) atomicAdd(relevant + bin, static_cast<Counter>(count >> 16));
      column[bin] = 0;
    }
  }
}

__global__ void __launch_bounds__(Tuning::kMaxThreads, Tuning::kBlocks)
    wide_retrieval_counts_kernel(const Codes queries, const Codes database, const Labels query_labels,
                                 const Labels database_labels, const Chunks chunks, int bins,
                                 Counter* __restrict__ total, Counter* __restrict__ relevant) {
  const Share share(queries.num_codes, chunks, database.num_codes);
  if (!share.exists(chunks)) return;
  const Query<Width<0, false>> query(queries, share.query);
  const Relevance is_relevant(query_labels, share.query, database_labels);
  total += share.query * bins;
  relevant += share.query * bins;
  for_each_distance(query, database, share.first, share.last, [&](int64_t row, int distance) {
    atomicAdd(total + distance, Counter{1});
    if (is_relevant(row)) atomicAdd(relevant + distance, Counter{1});
  });
}

}  // namespace

Status retrieval_counts(const Codes& queries, const Codes& database, Labels query_labels, Labels database_labels,
                        int64_t* total, int64_t* relevant, int device, void* stream) noexcept {
  constexpr const char* kName = "retrieval_counts";
  if (queries.num_codes == 0) return Status::kOk;
  const DeviceGuard guard(device);
  if (guard.error() != cudaSuccess) return report(kName, guard.error());
  const int bins = 8 * queries.num_bytes + 1;
  const size_t bytes = sizeof(int64_t) * queries.num_codes * bins;
  cudaError_t error = cudaMemsetAsync(total, 0, bytes, static_cast<cudaStream_t>(stream));
  if (error == cudaSuccess) error = cudaMemsetAsync(relevant, 0, bytes, static_cast<cudaStream_t>(stream));
  if (error != cudaSuccess || database.num_codes == 0) return report(kName, error);

  const auto launch_with = [&](auto kernel, dim3 grid, int block, size_t shared_bytes, const auto& plan) {
    return launch(kernel, grid, block, shared_bytes, stream, queries, database, query_labels, database_labels, plan,
                  bins, reinterpret_cast<Counter*>(total), reinterpret_cast<Counter*>(relevant));
  };
  error = by_width(queries, database, [&](auto width) {
    using Words = decltype(width);
    if constexpr (Words::words == 0) {
      const Chunks chunks = plan_chunks(queries.num_codes, database.num_codes, 0);
      return launch_with(wide_retrieval_counts_kernel, grid_for(queries.num_codes * chunks.count, Tuning::kMaxThreads),
                         Tuning::kMaxThreads, 0, chunks);
    } else {
      const StagedPlan plan = plan_staged(queries.num_codes, database.num_codes, Tuning::kMaxThreads,
                                          shared_columns(4 * bins, Tuning::kSharedBytes));
      return launch_with(retrieval_counts_kernel<Words>, plan.grid(), plan.threads,
                         sizeof(uint32_t) * plan.queries * bins, plan);
    }
  });
  return report(kName, error);
}

}  // namespace hashkernels::cuda
