// What the two ways to multiply embeddings share: the pairs, what their losses weigh, and where the sums go.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "arch.cuh"
#include "hashkernels/cuda.h"
#include "sums.cuh"
#include "tuning.cuh"

namespace hashkernels::cuda {

// Rows and columns of a tile of pairs, and values of an embedding that are looked at together.
constexpr int kPairTile = tuning::Pairwise::kTile;

struct Pairs {
  PairRows u, v;
  int64_t bits;
  Labels u_labels, v_labels;
  bool itself;
  const int64_t* left_out;  // this and the next as PairInputs has them
  const bool* counted;
  int64_t tiles_per_part;  // column tiles of one block

  // The column that makes no pair with a row, or a number that is no column.
  __device__ int64_t own_column(int64_t row) const {
    if (itself) return row;
    return left_out == nullptr ? -1 : __ldg(left_out + row);
  }

  __device__ bool column_counts(int64_t column) const {
    return counted == nullptr || __ldg(reinterpret_cast<const uint8_t*>(counted) + column) != 0;
  }
};

// Numbers of ordered pairs that count, and of those that do not.
struct PairCounts {
  unsigned long long positive, left_out;

  __device__ int64_t negative(const Pairs& pairs) const {
    return pairs.u.num_rows * pairs.v.num_rows - static_cast<int64_t>(left_out + positive);
  }
};

// What the loss of a pair is multiplied by.
struct Weights {
  template <class Loss>
  Weights(const Loss& loss, PairMean pair_mean)
      : positive_scale(loss.positive_scale), negative_scale(loss.negative_scale), mean(pair_mean) {}

  __device__ double scale(bool relevant) const { return relevant ? positive_scale : negative_scale; }

  // What the scaled losses of the relevant pairs, or of the others, are divided by; 0 where they add nothing.
  __device__ double divisor(bool relevant, const Pairs& pairs, const PairCounts& counts) const {
    const auto positive = static_cast<double>(counts.positive), negative = static_cast<double>(counts.negative(pairs));
    const double count = relevant ? positive : negative;
    if (count == 0 || scale(relevant) == 0) return 0;
    return mean == PairMean::kEachKind ? count : positive_scale * positive + negative_scale * negative;
  }

  double positive_scale, negative_scale;
  PairMean mean;
};

// Two floats as the sums of the bfloat16 in `high` and in `low`, but for an error of 2^-17.
__device__ __forceinline__ void split(float first, float second, uint32_t& high, uint32_t& low) {
  high = arch::pack_bf16(first, second);
  low = arch::pack_bf16(first - __uint_as_float(high << 16), second - __uint_as_float(high & 0xFFFF0000));
}

// The sum that stands for a float on tensor cores: a float again, exactly.
__device__ __forceinline__ float in_two_parts(float value) {
  uint32_t high;
  uint32_t low;
  split(value, 0, high, low);
  return __uint_as_float(high << 16) + __uint_as_float(low << 16);
}

// What a loss of distances has beside: -1/2 |u - v|^2 = u . v - 1/2 |u|^2 - 1/2 |v|^2, whose derivative by u is v - u.
// The pass over the pairs adds up the part of v, and the slopes of each row, which u is then multiplied by.
struct Lengths {
  float* row_halves;     // 1/2 |u|^2
  float* column_halves;  // 1/2 |v|^2
  float* row_slopes;     // [part][row], or null where no gradient is wanted
};

// One pass over all pairs by blocks (x: tile of rows, y: part of the columns).
template <class Function>
struct PairPass {
  Pairs pairs;
  Function function;
  Weights weights;
  int64_t num_parts;
  const PairCounts* counts;  // on the device
  double* partial_sums;      // [part][row tile][2]: losses of relevant and of other pairs
  float* partial_grad;       // [part][row][bit], or null where no gradient is wanted
  Lengths lengths;

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

  // Of items past the end, that of the last one.
  __device__ float row_half(int64_t row) const { return __ldg(lengths.row_halves + min(row, pairs.u.num_rows - 1)); }
  __device__ float column_half(int64_t column) const {
    return __ldg(lengths.column_halves + min(column, pairs.v.num_rows - 1));
  }

  // Adds up what as many neighbouring lanes have of the slopes of rows first_row, first_row + step ..., and stores it.
  template <int num_lanes, int num_rows>
  __device__ __forceinline__ void store_row_slopes(const float (&slopes)[num_rows], int64_t first_row, int step) const {
    if (lengths.row_slopes == nullptr) return;
#pragma unroll
    for (int i = 0; i < num_rows; ++i) {
      float sum = slopes[i];
#pragma unroll
      for (int flip = num_lanes / 2; flip > 0; flip /= 2) sum += __shfl_xor_sync(0xFFFFFFFF, sum, flip);
      const int64_t row = first_row + i * step;
      if (threadIdx.x % num_lanes != 0 || row >= pairs.u.num_rows) continue;
      lengths.row_slopes[blockIdx.y * pairs.u.num_rows + row] = sum;
    }
  }

  // What the slope of a pair is multiplied by. The batch against itself meets every pair twice.
  __device__ float weight(bool relevant) const {
    const float sides = pairs.itself ? 2.0f : 1.0f;
    const double scale = weights.scale(relevant);
    const double divisor = weights.divisor(relevant, pairs, *counts);
    return divisor == 0 ? 0.0f : __fdividef(sides * static_cast<float>(scale), static_cast<float>(divisor));
  }

  // Adds up what the threads of a block have, and stores it.
  template <int num_threads>
  __device__ __forceinline__ void store_sums(const double (&sums)[2], double (&of_warps)[2][num_threads / 32]) const {
#pragma unroll
    for (int kind = 0; kind < 2; ++kind) {
      const double sum = sum_of_block<num_threads>(sums[kind], of_warps[kind]);
      if (threadIdx.x != 0) continue;
      partial_sums[2 * (static_cast<int64_t>(blockIdx.y) * gridDim.x + blockIdx.x) + kind] = sum;
    }
  }
};

// In float32 (pairwise_float32.cu), and on tensor cores (pairwise_split.cu).
template <class Function>
cudaError_t run_in_float32(const PairPass<Function>& pass, void* stream);
template <class Function>
cudaError_t run_split(const PairPass<Function>& pass, void* stream);

}  // namespace hashkernels::cuda
