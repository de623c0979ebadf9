// Between the filters of a search by limits: what the candidates so far say about those to come, and at last which of
// them are the nearest. A block has a query.
#include <cuda_runtime.h>

#include <climits>

#include "arch.cuh"
#include "candidates.cuh"
#include "scan.cuh"
#include "tuning.cuh"

namespace hashkernels::cuda {
namespace {

using Tuning = tuning::Selecting;

constexpr uint32_t kAllLanes = 0xFFFFFFFF;

__global__ void __launch_bounds__(Tuning::kThreads) begin_kernel(const Candidates candidates, int bins) {
  const int64_t query = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (query > candidates.num_queries) return;
  candidates.failed[query] = 0;
  if (query == candidates.num_queries) return;
  candidates.counts[query] = 0;
  candidates.limits[query] = bins;
}

// The distance of the k-th candidate, the last distance of all where there are fewer, for all threads of the block.
__device__ int distance_of_kth(const Candidates& candidates, int64_t query, int64_t k, int bins, uint32_t* histogram) {
  struct Shared {
    int distance;
  };
  Shared& shared = arch::shared_object<Shared>();
  const int size = static_cast<int>(min(int64_t{candidates.counts[query]}, candidates.capacity));
  const uint64_t* const keys = candidates.keys + query * candidates.capacity;
  for (int bin = threadIdx.x; bin < bins; bin += blockDim.x) histogram[bin] = 0;
  __syncthreads();  // the counters are zero
  for (int i = threadIdx.x; i < size; i += blockDim.x) atomicAdd(histogram + distance_of(keys[i]), 1u);
  __syncthreads();  // all are counted
  if (threadIdx.x < 32) {
    const int lane = static_cast<int>(threadIdx.x);
    int distance = bins - 1;
    int64_t before = 0;
    for (int first = 0; first < bins; first += 32) {
      const uint32_t sum = sum_up_to_lane(first + lane < bins ? histogram[first + lane] : 0);
      const uint32_t reached = __ballot_sync(kAllLanes, before + sum >= k);
      if (reached != 0) {
        distance = min(distance, first + __ffs(reached) - 1);
        break;
      }
      before += __shfl_sync(kAllLanes, sum, 31);
    }
    if (lane == 0) shared.distance = distance;
  }
  __syncthreads();  // the distance is there
  return shared.distance;
}

__global__ void __launch_bounds__(Tuning::kFewThreads)
    tighten_kernel(const Candidates candidates, int64_t k, int bins, bool sample) {
  const int64_t query = blockIdx.x;
  if (candidates.counts[query] >= k) {
    const int distance = distance_of_kth(candidates, query, k, bins, arch::dynamic_shared<uint32_t>());
    if (threadIdx.x == 0) candidates.limits[query] = sample ? distance + 1 : distance;
  }
  if (!sample) return;
  __syncthreads();  // all have read how many there are
  if (threadIdx.x == 0) candidates.counts[query] = 0;
}

// `size` keys in ascending order, a power of two, by a network of exchanges.
__device__ void sort(uint64_t* keys, int size) {
  for (int run = 2; run <= size; run *= 2) {
    for (int distance = run / 2; distance > 0; distance /= 2) {
      __syncthreads();  // the exchanges before are done
      for (int i = threadIdx.x; i < size / 2; i += blockDim.x) {
        const int low = 2 * i - i % distance;
        const int high = low + distance;
        const uint64_t a = keys[low];
        const uint64_t b = keys[high];
        if ((a > b) == ((low & run) == 0)) {
          keys[low] = b;
          keys[high] = a;
        }
      }
    }
  }
  __syncthreads();  // the last exchanges are done
}

__global__ void __launch_bounds__(Tuning::kFewThreads)
    select_kernel(const Candidates candidates, int64_t k, int bins, int32_t* __restrict__ distances,
                  int64_t* __restrict__ indices) {
  struct Shared {
    int size;
  };
  Shared& shared = arch::shared_object<Shared>();
  uint64_t* const nearest = arch::dynamic_shared<uint64_t>();
  const int64_t query = blockIdx.x;
  const uint32_t count = candidates.counts[query];
  if (threadIdx.x == 0) shared.size = 0;
  const int last =
      distance_of_kth(candidates, query, k, bins, reinterpret_cast<uint32_t*>(nearest + Tuning::kSelected));
  const uint64_t* const keys = candidates.keys + query * candidates.capacity;
  const int listed = static_cast<int>(min(int64_t{count}, candidates.capacity));
  for (int i = threadIdx.x; i < listed; i += blockDim.x) {
    const uint64_t key = keys[i];
    if (distance_of(key) > last) continue;
    const int at = atomicAdd(&shared.size, 1);
    if (at < Tuning::kSelected) nearest[at] = key;
  }
  __syncthreads();  // the nearest are there
  const int size = shared.size;
  if (count > candidates.capacity || size > Tuning::kSelected) {
    if (threadIdx.x == 0) {
      candidates.failed[query] = 1;
      atomicAdd(candidates.failed + candidates.num_queries, 1u);
    }
    return;
  }
  int sorted = 2;
  while (sorted < size) sorted *= 2;
  for (int i = size + threadIdx.x; i < sorted; i += blockDim.x) nearest[i] = ~uint64_t{0};
  sort(nearest, sorted);
  for (int i = threadIdx.x; i < k; i += blockDim.x) {
    const bool found = i < size;
    distances[query * k + i] = found ? distance_of(nearest[i]) : INT_MAX;
    indices[query * k + i] = found ? static_cast<int64_t>(nearest[i] & ((uint64_t{1} << kRowBits) - 1)) : -1;
  }
}

// A block's threads: the fewer queries, the more.
int threads_for(const Candidates& candidates) {
  return candidates.num_queries < tuning::Limits::kFewQueries ? Tuning::kFewThreads : Tuning::kThreads;
}

}  // namespace

cudaError_t begin(const Candidates& candidates, int bins, void* stream) noexcept {
  return launch(begin_kernel, grid_for(candidates.num_queries + 1, Tuning::kThreads), Tuning::kThreads, 0, stream,
                candidates, bins);
}

cudaError_t tighten(const Candidates& candidates, int64_t k, int bins, bool sample, void* stream) noexcept {
  return launch(tighten_kernel, dim3(static_cast<unsigned>(candidates.num_queries)), threads_for(candidates),
                bins * sizeof(uint32_t), stream, candidates, k, bins, sample);
}

cudaError_t select(const Candidates& candidates, int64_t k, int bins, int32_t* distances, int64_t* indices,
                   void* stream) noexcept {
  return launch(select_kernel, dim3(static_cast<unsigned>(candidates.num_queries)), threads_for(candidates),
                Tuning::kSelected * sizeof(uint64_t) + bins * sizeof(uint32_t), stream, candidates, k, bins, distances,
                indices);
}

}  // namespace hashkernels::cuda
