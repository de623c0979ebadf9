// The pairwise losses in float32, by fused multiply-adds outside of the tensor cores.
//
// A block owns a tile of rows and walks a range of column tiles. For each it computes the inner products in registers,
// turns them into slopes, and multiplies the slopes by the columns again: row gradients. Where an embedding is longer
// than a tile is wide, the gradient is added up in the block's own part of the workspace, else in registers.
#include <cuda_runtime.h>

#include "arch.cuh"
#include "launch.cuh"
#include "pair_functions.cuh"
#include "pairs.cuh"
#include "pairwise_tile.cuh"

namespace hashkernels::cuda {
namespace {

// Adds slopes * columns of one tile of pairs to `grad`, the sums of this thread, or, where an embedding takes several
// slices, to partial_grad, of which the first tile only writes.
template <bool one_slice>
__device__ __forceinline__ void add_gradient(const Pairs& pairs, Shared& shared, const float (&slopes)[kOwn][kOwn],
                                             int64_t first_row, int64_t first_column, bool is_first,
                                             float (&grad)[kOwn][kOwn], float* partial_grad) {
  const int tile_row = own_row();
  const int tile_column = own_column();
#pragma unroll
  for (int j = 0; j < kOwn; ++j) {
    *reinterpret_cast<float4*>(&shared.slopes[tile_column + j][tile_row]) =
        float4{slopes[0][j], slopes[1][j], slopes[2][j], slopes[3][j]};
  }
  for (int64_t slice = 0; slice < pairs.bits; slice += kTile) {
    load_slice(pairs.v, pairs.bits, first_column, slice, shared.values);
    __syncthreads();  // slopes and values are there
    if constexpr (!one_slice) clear(grad);
#pragma unroll 8
    for (int c = 0; c < kTile; ++c) multiply_add(&shared.slopes[c][tile_row], &shared.values[c][tile_column], grad);
    if constexpr (!one_slice) {
      for_each_own([&](int i, int j) {
        const int64_t row = first_row + tile_row + i;
        const int64_t bit = slice + tile_column + j;
        if (row >= pairs.u.num_rows || bit >= pairs.bits) return;
        float* const sum = partial_grad + row * pairs.bits + bit;
        *sum = is_first ? grad[i][j] : *sum + grad[i][j];
      });
      __syncthreads();  // the values have been read
    }
  }
}

template <class Function, bool with_grad, bool one_slice>
__global__ void __launch_bounds__(kThreads, Function::kBlocks) float32_kernel(const PairPass<Function> pass) {
  const Pairs& pairs = pass.pairs;
  Shared& shared = arch::shared_object<Shared>();
  const int tile_row = own_row();
  const int tile_column = own_column();
  const int64_t first_row = static_cast<int64_t>(blockIdx.x) * kTile;
  const int64_t first_tile = pass.first_tile();
  const int64_t last_tile = pass.last_tile();
  const float positive_weight = pass.weight(true);
  const float negative_weight = pass.weight(false);
  float* const partial_grad = pass.own_grad();

  double sums[2] = {0, 0};
  float grad[kOwn][kOwn] = {};
  [[maybe_unused]] float row_slopes[kOwn] = {};
  for (int64_t tile = first_tile; tile < last_tile; ++tile) {
    const int64_t first_column = tile * kTile;
    float theta[kOwn][kOwn] = {};
    for (int64_t bit = 0; bit < pairs.bits; bit += kStep) {
      __syncthreads();  // the step before has been read
      load_transposed(pairs.u, pairs.bits, first_row, bit, shared.rows);
      load_transposed(pairs.v, pairs.bits, first_column, bit, shared.columns);
      __syncthreads();  // the step is there
#pragma unroll
      for (int k = 0; k < kStep; ++k) {
        multiply_add(&shared.rows[k][tile_row], &shared.columns[k][tile_column], theta);
      }
    }

    if constexpr (Function::kOfDistances) {
      float rows[kOwn];
      float columns[kOwn];
#pragma unroll
      for (int i = 0; i < kOwn; ++i) {
        rows[i] = pass.row_half(first_row + tile_row + i);
        columns[i] = pass.column_half(first_column + tile_column + i);
      }
      for_each_own([&](int i, int j) { theta[i][j] -= rows[i] + columns[j]; });
    }
    const auto relevant = relevant_pairs<Function>(pairs, first_row + tile_row, first_column + tile_column);
    float tile_sums[2] = {0, 0};
    const uint32_t counted = counted_pairs<kOwn, kOwn, kTile, kTile>(
        pairs, first_row, first_column, [&](int i) { return tile_row + i; },
        [&](uint64_t of_tile) { return static_cast<uint32_t>(of_tile >> tile_column) & ((1u << kOwn) - 1); });
    for_each_own([&](int i, int j) {
      const bool counts = (counted >> (kOwn * i + j) & 1) != 0;
      const bool is_relevant = relevant(i, j);
      const PairValue value = relevant.weigh(pass.function(theta[i][j], is_relevant), i, j);
      tile_sums[0] += counts && is_relevant ? value.loss : 0.0f;
      tile_sums[1] += counts && !is_relevant ? value.loss : 0.0f;
      const float weight = is_relevant ? positive_weight : negative_weight;
      theta[i][j] = counts ? value.slope * weight : 0.0f;  // a slope from here on
      if constexpr (Function::kOfDistances) row_slopes[i] += theta[i][j];
    });
    sums[0] += tile_sums[0];
    sums[1] += tile_sums[1];
    if constexpr (with_grad) {
      add_gradient<one_slice>(pairs, shared, theta, first_row, first_column, tile == first_tile, grad, partial_grad);
    }
  }

  if constexpr (with_grad && one_slice) {
    for_each_own([&](int i, int j) {
      const int64_t row = first_row + tile_row + i;
      const int64_t bit = tile_column + j;
      if (row < pairs.u.num_rows && bit < pairs.bits) partial_grad[row * pairs.bits + bit] = grad[i][j];
    });
  }
  if constexpr (with_grad && Function::kOfDistances) {
    pass.template store_row_slopes<kTile / kOwn>(row_slopes, first_row + tile_row, 1);
  }
  pass.template store_sums<kThreads>(sums, shared.sums);
}

}  // namespace

template <class Function>
cudaError_t run_in_float32(const PairPass<Function>& pass, void* stream) {
  const auto kernel = pass.partial_grad == nullptr ? float32_kernel<Function, false, true>
                      : pass.pairs.bits <= kTile   ? float32_kernel<Function, true, true>
                                                   : float32_kernel<Function, true, false>;
  return launch(kernel, pass.grid(), kThreads, 0, stream, pass);
}

template cudaError_t run_in_float32(const PairPass<MarginFunction>&, void*);
template cudaError_t run_in_float32(const PairPass<LikelihoodFunction>&, void*);
template cudaError_t run_in_float32(const PairPass<OverlapFunction>&, void*);
template cudaError_t run_in_float32(const PairPass<CauchyFunction>&, void*);
template cudaError_t run_in_float32(const PairPass<ContrastiveFunction>&, void*);

}  // namespace hashkernels::cuda
