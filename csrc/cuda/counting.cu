// Codes and relevant codes at each distance. A pair costs its population counts and one load and store in shared
// memory: the low half of a counter counts codes, the high half relevant ones, so a chunk is counted in pieces that 16
// bits hold.
#include <cuda_runtime.h>

#include "arch.cuh"
#include "chunks.cuh"
#include "hashkernels/cuda.h"
#include "labels.cuh"
#include "launch.cuh"

namespace hashkernels::cuda {
namespace {

using Tuning = tuning::Chunks;
using Counter = unsigned long long;

template <class Width, bool in_shared>
__global__ void __launch_bounds__(Tuning::kMaxThreads, Tuning::kBlocks)
    retrieval_counts_kernel(const Codes queries, const Codes database, const Labels query_labels,
                            const Labels database_labels, const Chunks chunks, int64_t bins,
                            Counter* __restrict__ total, Counter* __restrict__ relevant) {
  const Share share(queries.num_codes, chunks, database.num_codes);
  if (!share.exists(chunks)) return;
  const Query<Width> query(queries, share.query);
  const Relevance is_relevant(query_labels, share.query, database_labels);
  total += share.query * bins;
  relevant += share.query * bins;

  if constexpr (in_shared) {
    SharedColumn column(arch::dynamic_shared<uint32_t>(), bins);
    for (int64_t first = share.first; first < share.last; first += Tuning::kMaxPackedRows) {
      const int64_t last = min(first + Tuning::kMaxPackedRows, share.last);
      for_each_distance(query, database, first, last,
                        [&](int64_t row, int distance) { column[distance] += is_relevant(row) ? 0x10001u : 1u; });
      for (int64_t bin = 0; bin < bins; ++bin) {
        const uint32_t count = column[bin];
        if (count == 0) continue;
        atomicAdd(total + bin, static_cast<Counter>(count & 0xFFFF));
        if (count >> 16 != 0) atomicAdd(relevant + bin, static_cast<Counter>(count >> 16));
        column[bin] = 0;
      }
    }
  } else {
    for_each_distance(query, database, share.first, share.last, [&](int64_t row, int distance) {
      atomicAdd(total + distance, Counter{1});
      if (is_relevant(row)) atomicAdd(relevant + distance, Counter{1});
    });
  }
}

}  // namespace

Status retrieval_counts(const Codes& queries, const Codes& database, Labels query_labels, Labels database_labels,
                        int64_t* total, int64_t* relevant, int device, void* stream) noexcept {
  constexpr const char* kName = "retrieval_counts";
  if (queries.num_codes == 0) return Status::kOk;
  const DeviceGuard guard(device);
  if (guard.error() != cudaSuccess) return report(kName, guard.error());
  const int64_t bins = 8 * int64_t{queries.num_bytes} + 1;
  const size_t bytes = sizeof(int64_t) * queries.num_codes * bins;
  cudaError_t error = cudaMemsetAsync(total, 0, bytes, static_cast<cudaStream_t>(stream));
  if (error == cudaSuccess) error = cudaMemsetAsync(relevant, 0, bytes, static_cast<cudaStream_t>(stream));
  if (error != cudaSuccess || database.num_codes == 0) return report(kName, error);

  const Chunks chunks = plan_chunks(queries.num_codes, database.num_codes, 0);
  const int threads = counting_threads(bins);
  const int block = threads == 0 ? Tuning::kMaxThreads : threads;
  const dim3 grid = grid_for(queries.num_codes * chunks.count, block);
  const auto launch_with = [&](auto kernel) {
    return launch(kernel, grid, block, threads * bins * sizeof(uint32_t), stream, queries, database, query_labels,
                  database_labels, chunks, bins, reinterpret_cast<Counter*>(total),
                  reinterpret_cast<Counter*>(relevant));
  };
  if (threads == 0) {
    error = launch_with(retrieval_counts_kernel<Width<0, false>, false>);
  } else {
    error = by_width(queries, database,
                     [&](auto width) { return launch_with(retrieval_counts_kernel<decltype(width), true>); });
  }
  return report(kName, error);
}

}  // namespace hashkernels::cuda
