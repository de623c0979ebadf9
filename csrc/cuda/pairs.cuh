// What the two ways to multiply embeddings share: the pairs, what their losses weigh, and where the sums go.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "hashkernels/cuda.h"
#include "tuning.cuh"

namespace hashkernels::cuda {

// Rows and columns of a tile of pairs, and values of an embedding that are looked at together.
constexpr int kPairTile = tuning::Pairwise::kTile;

struct Pairs {
  PairRows u, v;
  int64_t bits;
  Labels u_labels, v_labels;
  bool itself;
  int64_t all;             // ordered pairs
  int64_t tiles_per_part;  // column tiles of one block
};

// What the loss of a pair is multiplied by.
struct Weights {
  template <class Loss>
  Weights(const Loss& loss, PairMean pair_mean)
      : positive_scale(loss.positive_scale), negative_scale(loss.negative_scale), mean(pair_mean) {}

  __device__ double scale(bool relevant) const { return relevant ? positive_scale : negative_scale; }

  // What the scaled losses of the relevant pairs, or of the others, are divided by; 0 where they add nothing.
  __device__ double divisor(bool relevant, int64_t positive_pairs, int64_t negative_pairs) const {
    const int64_t count = relevant ? positive_pairs : negative_pairs;
    if (count == 0 || scale(relevant) == 0) return 0;
    if (mean == PairMean::kEachKind) return static_cast<double>(count);
    return positive_scale * static_cast<double>(positive_pairs) + negative_scale * static_cast<double>(negative_pairs);
  }

  double positive_scale, negative_scale;
  PairMean mean;
};

// One pass over all pairs by blocks (x: tile of rows, y: part of the columns).
template <class Function>
struct PairPass {
  Pairs pairs;
  Function function;
  Weights weights;
  int64_t num_parts;
  const int64_t* positive_pairs;  // on the device
  double* partial_sums;           // [part][row tile][2]: losses of relevant and of other pairs
  float* partial_grad;            // [part][row][bit], or null where no gradient is wanted

  dim3 grid() const {
    return dim3(static_cast<unsigned>((pairs.u.num_rows + kPairTile - 1) / kPairTile),
                static_cast<unsigned>(num_parts));
  }

  // The range of column tiles of this block.
  __device__ int64_t first_tile() const { return blockIdx.y * pairs.tiles_per_part; }
  __device__ int64_t last_tile() const {
    return min(first_tile() + pairs.tiles_per_part, (pairs.v.num_rows + kPairTile - 1) / kPairTile);
  }

  __device__ float* own_grad() const { return partial_grad + blockIdx.y * pairs.u.num_rows * pairs.bits; }

  // What the slope of a pair is multiplied by. The batch against itself meets every pair twice.
  __device__ float weight(bool relevant) const {
    const float sides = pairs.itself ? 2.0f : 1.0f;
    const int64_t positive = *positive_pairs;
    const double scale = weights.scale(relevant);
    const double divisor = weights.divisor(relevant, positive, pairs.all - positive);
    return divisor == 0 ? 0.0f : __fdividef(sides * static_cast<float>(scale), static_cast<float>(divisor));
  }

  // Adds up what the threads of a block have, in an order of its own, and stores it.
  template <int num_threads>
  __device__ __forceinline__ void store_sums(const double (&sums)[2], double (&of_warps)[2][num_threads / 32]) const {
#pragma unroll
    for (int kind = 0; kind < 2; ++kind) {
      double sum = sums[kind];
#pragma unroll
      for (int flip = 16; flip > 0; flip /= 2) sum += __shfl_xor_sync(0xFFFFFFFF, sum, flip);
      if (threadIdx.x % 32 == 0) of_warps[kind][threadIdx.x / 32] = sum;
    }
    __syncthreads();  // the sums of all warps are there
    if (threadIdx.x < 2) {
      double sum = 0;
      for (int w = 0; w < num_threads / 32; ++w) sum += of_warps[threadIdx.x][w];
      partial_sums[2 * (static_cast<int64_t>(blockIdx.y) * gridDim.x + blockIdx.x) + threadIdx.x] = sum;
    }
  }
};

// In float32 (pairwise_float32.cu), and on tensor cores (pairwise_split.cu).
template <class Function>
cudaError_t run_in_float32(const PairPass<Function>& pass, void* stream);
template <class Function>
cudaError_t run_split(const PairPass<Function>& pass, void* stream);

}  // namespace hashkernels::cuda
