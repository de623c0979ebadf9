// The likelihood of triplets, in float32.
//
// A block takes a query. The relevant ones of some items at a time lie in shared memory; then every thread takes
// irrelevant items, and every warp relevant ones, and adds up all triplets of its item: no sum is shared, at the price
// of every slope being computed twice.
#include <cuda_runtime.h>

#include "arch.cuh"
#include "hashkernels/cuda.h"
#include "hashkernels/triplets.h"
#include "launch.cuh"
#include "pair_functions.cuh"
#include "sums.cuh"
#include "tuning.cuh"

namespace hashkernels::cuda {
namespace {

using Tuning = tuning::Triplets;

constexpr int kThreads = Tuning::kThreads;
constexpr int kItems = Tuning::kItems;
constexpr int kWarps = kThreads / 32;

struct Shared {
  float values[kItems];  // margin - similarity
  int items[kItems];     // counted from the first one
  int counts[kWarps];
  double of_warps[kWarps];
};

// What is known of one query.
struct QueryItems {
  __device__ QueryItems(const Triplets<float>& triplets, int64_t query)
      : similarities(triplets.similarities + query * triplets.num_items),
        relevant(triplets.relevant + query * triplets.num_items),
        irrelevant(triplets.irrelevant + query * triplets.num_items),
        num_items(triplets.num_items),
        weight(triplets.weights[query]) {}

  const float* similarities;
  const uint8_t* relevant;
  const uint8_t* irrelevant;
  int64_t num_items;
  double weight;
};

// Puts the relevant ones of kItems items, from `first` on, into shared memory, in their order. Returns how many.
__device__ __forceinline__ int find_relevant(const QueryItems& query, int64_t first, float margin, Shared& shared) {
  const int warp = threadIdx.x / 32;
  int count = 0;
  for (int start = 0; start < kItems; start += kThreads) {
    const int item = start + threadIdx.x;
    const bool chosen = first + item < query.num_items && query.relevant[first + item] != 0;
    const uint32_t votes = __ballot_sync(0xFFFFFFFF, chosen);
    if (threadIdx.x % 32 == 0) shared.counts[warp] = __popc(votes);
    __syncthreads();  // the counts of all warps are there
    int place = count + __popc(votes & ((1u << threadIdx.x % 32) - 1));
#pragma unroll
    for (int w = 0; w < kWarps; ++w) {
      place += w < warp ? shared.counts[w] : 0;
      count += shared.counts[w];
    }
    if (chosen) {
      shared.values[place] = margin - query.similarities[first + item];
      shared.items[place] = item;
    }
    __syncthreads();  // the counts have been read, and the items are there
  }
  return count;
}

// Returns what this thread has of the loss. grad: of the query, or null; where the first items of all are looked at, it
// holds nothing yet.
__device__ __forceinline__ double add_irrelevant(const QueryItems& query, const Shared& shared, int count,
                                                 bool is_first, float* grad) {
  double total = 0;
  for (int64_t item = threadIdx.x; item < query.num_items; item += kThreads) {
    float loss = 0;
    float slope = 0;
    if (query.irrelevant[item] != 0) {
      const float similarity = query.similarities[item];
#pragma unroll 4
      for (int r = 0; r < count; ++r) {
        const PairValue value = softplus(similarity + shared.values[r]);
        loss += value.loss;
        slope += value.slope;
      }
    }
    total += loss;
    if (grad == nullptr || query.relevant[item] != 0) continue;
    slope *= static_cast<float>(query.weight);
    grad[item] = is_first ? slope : grad[item] + slope;
  }
  return total;
}

// A warp takes one relevant item after another.
__device__ __forceinline__ void set_slopes_of_relevant(const QueryItems& query, const Shared& shared, int count,
                                                       float* grad) {
  for (int r = threadIdx.x / 32; r < count; r += kWarps) {
    const float value = shared.values[r];
    float slope = 0;
#pragma unroll 4
    for (int64_t item = threadIdx.x % 32; item < query.num_items; item += 32) {
      const float one = softplus(query.similarities[item] + value).slope;
      slope += query.irrelevant[item] != 0 ? one : 0.0f;
    }
#pragma unroll
    for (int flip = 16; flip > 0; flip /= 2) slope += __shfl_xor_sync(0xFFFFFFFF, slope, flip);
    if (threadIdx.x % 32 == 0) grad[shared.items[r]] = -static_cast<float>(query.weight) * slope;
  }
}

__global__ void __launch_bounds__(kThreads, Tuning::kBlocks)
    triplets_kernel(const Triplets<float> triplets, double* __restrict__ losses, float* grad) {
  Shared& shared = arch::shared_object<Shared>();
  const QueryItems query(triplets, blockIdx.x);
  float* const own_grad = grad == nullptr ? nullptr : grad + blockIdx.x * query.num_items;
  const float margin = static_cast<float>(triplets.margin);
  double loss = 0;
  for (int64_t first = 0; first < query.num_items; first += kItems) {
    const int count = find_relevant(query, first, margin, shared);
    if (count == 0 && first > 0) continue;
    loss += add_irrelevant(query, shared, count, first == 0, own_grad);
    if (own_grad != nullptr) set_slopes_of_relevant(query, shared, count, own_grad + first);
  }
  loss = sum_of_block<kThreads>(loss, shared.of_warps);
  if (threadIdx.x == 0) losses[blockIdx.x] = query.weight * loss;
}

struct LossSums {
  double of_warps[kWarps];
};

// One block.
__global__ void __launch_bounds__(kThreads)
    sum_losses_kernel(int64_t num_queries, const double* __restrict__ losses, double* __restrict__ loss) {
  LossSums& shared = arch::shared_object<LossSums>();
  double sum = 0;
  for (int64_t query = threadIdx.x; query < num_queries; query += kThreads) sum += losses[query];
  sum = sum_of_block<kThreads>(sum, shared.of_warps);
  if (threadIdx.x == 0) *loss = sum;
}

}  // namespace

Status triplet_likelihood(const Triplets<float>& triplets, double* loss, float* grad, double* query_losses, int device,
                          void* stream) noexcept {
  const char* const name = "triplet_likelihood";
  const DeviceGuard guard(device);
  cudaError_t error = guard.error();
  if (error == cudaSuccess && triplets.num_queries > 0) {
    error = launch(triplets_kernel, dim3(static_cast<unsigned>(triplets.num_queries)), kThreads, 0, stream, triplets,
                   query_losses, grad);
  }
  if (error == cudaSuccess) {
    error = launch(sum_losses_kernel, dim3(1), kThreads, 0, stream, triplets.num_queries, query_losses, loss);
  }
  return report(name, error);
}

}  // namespace hashkernels::cuda
