// The pairwise losses: value and gradient in one pass over tiles of pairs, in float32 and always with the same bits.
//
// A block owns a tile of rows and walks a range of column tiles. For each it computes the inner products in registers,
// turns them into slopes, and multiplies the slopes by the columns again: row gradients. Where an embedding is longer
// than a tile is wide, the gradient is added up in the block's own part of the workspace, else in registers. Ranges of
// columns are summed in a fixed order at the end, so no addition depends on which block is done first. The batch
// against itself runs over all ordered pairs and doubles the slopes: inner products are symmetric to the last bit.
#include <cuda_runtime.h>

#include <algorithm>

#include "arch.cuh"
#include "hashkernels/cuda.h"
#include "labels.cuh"
#include "launch.cuh"
#include "pair_functions.cuh"
#include "pairwise_tile.cuh"

namespace hashkernels::cuda {
namespace {

using Counter = unsigned long long;

// What the loss of a pair is multiplied by.
struct Weights {
  template <class Loss>
  Weights(const Loss& loss, PairMean pair_mean)
      : positive_scale(loss.positive_scale), negative_scale(loss.negative_scale), mean(pair_mean) {}

  // Of the relevant pairs, or of the others, where there are so many of both.
  __device__ double of(bool relevant, int64_t positive_pairs, int64_t negative_pairs) const {
    const double scale = relevant ? positive_scale : negative_scale;
    const int64_t count = relevant ? positive_pairs : negative_pairs;
    if (count == 0 || scale == 0) return 0;
    const double all =
        positive_scale * static_cast<double>(positive_pairs) + negative_scale * static_cast<double>(negative_pairs);
    return scale / (mean == PairMean::kEachKind ? static_cast<double>(count) : all);
  }

  double positive_scale, negative_scale;
  PairMean mean;
};

__global__ void __launch_bounds__(kThreads, 4)
    count_kernel(const Pairs pairs, int64_t columns_per_block, Counter* __restrict__ positive_pairs) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const int64_t first = blockIdx.y * columns_per_block;
  const int64_t last = min(first + columns_per_block, pairs.v.num_rows);
  uint32_t count = 0;
  if (row < pairs.u.num_rows) {
    const Relevance is_relevant(pairs.u_labels, row, pairs.v_labels);
    for (int64_t column = first; column < last; ++column) {
      count += is_relevant(column) && !(pairs.itself && column == row) ? 1 : 0;
    }
  }
  const uint32_t sum = __reduce_add_sync(kAllLanes, count);
  if (threadIdx.x % 32 == 0 && sum != 0) atomicAdd(positive_pairs, static_cast<Counter>(sum));
}

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

// partial_sums[block]: sums of the losses of relevant and other pairs. partial_grad[part][row][bit].
template <class Function, bool with_grad, bool one_slice>
__global__ void __launch_bounds__(kThreads, 2)
    pairs_kernel(const Pairs pairs, const Function function, const Weights weights,
                 const int64_t* __restrict__ positive_pairs, double* __restrict__ partial_sums,
                 float* __restrict__ partial_grad) {
  Shared& shared = arch::shared_object<Shared>();
  const int tile_row = own_row();
  const int tile_column = own_column();
  const int64_t first_row = static_cast<int64_t>(blockIdx.x) * kTile;
  const int64_t column_tiles = (pairs.v.num_rows + kTile - 1) / kTile;
  const int64_t first_tile = blockIdx.y * pairs.tiles_per_part;
  const int64_t last_tile = min(first_tile + pairs.tiles_per_part, column_tiles);

  const double sides = pairs.itself ? 2.0 : 1.0;
  const int64_t positive = positive_pairs[0];
  const float positive_weight = static_cast<float>(sides * weights.of(true, positive, pairs.all - positive));
  const float negative_weight = static_cast<float>(sides * weights.of(false, positive, pairs.all - positive));
  partial_grad += blockIdx.y * pairs.u.num_rows * pairs.bits;

  const int rows_left = items_left(pairs.u.num_rows - first_row - tile_row);
  double sums[2] = {0, 0};
  float grad[kOwn][kOwn] = {};
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

    const uint32_t relevant = relevant_pairs(pairs, first_row + tile_row, first_column + tile_column);
    float tile_sums[2] = {0, 0};
    const int columns_left = items_left(pairs.v.num_rows - first_column - tile_column);
    // Item i of this thread's rows is item i + to_diagonal of its columns.
    const int64_t to_diagonal = pairs.itself ? first_row + tile_row - first_column - tile_column : kTile;
    for_each_own([&](int i, int j) {
      const bool exists = i < rows_left && j < columns_left && j - i != to_diagonal;
      const bool is_relevant = (relevant >> (kOwn * i + j) & 1) != 0;
      const PairValue value = function(theta[i][j], is_relevant);
      tile_sums[0] += exists && is_relevant ? value.loss : 0.0f;
      tile_sums[1] += exists && !is_relevant ? value.loss : 0.0f;
      const float weight = is_relevant ? positive_weight : negative_weight;
      theta[i][j] = exists ? value.slope * weight : 0.0f;  // a slope from here on
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
#pragma unroll
  for (int kind = 0; kind < 2; ++kind) {
    double sum = sums[kind];
#pragma unroll
    for (int flip = 16; flip > 0; flip /= 2) sum += __shfl_xor_sync(kAllLanes, sum, flip);
    if (threadIdx.x % 32 == 0) shared.sums[kind][threadIdx.x / 32] = sum;
  }
  __syncthreads();  // the sums of all warps are there
  if (threadIdx.x < 2) {
    double sum = 0;
    for (int w = 0; w < kThreads / 32; ++w) sum += shared.sums[threadIdx.x][w];
    partial_sums[2 * (static_cast<int64_t>(blockIdx.y) * gridDim.x + blockIdx.x) + threadIdx.x] = sum;
  }
}

__global__ void __launch_bounds__(kThreads)
    sum_gradients_kernel(int64_t size, int64_t num_parts, const float* __restrict__ partial_grad,
                         float* __restrict__ grad) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= size) return;
  double sum = 0;
  for (int64_t part = 0; part < num_parts; ++part) sum += partial_grad[part * size + i];
  grad[i] = static_cast<float>(sum);
}

struct TermSums {
  double sums[2][kThreads];
};

// One block. num_pairs[0] holds the relevant pairs; [1] receives the others.
__global__ void __launch_bounds__(kThreads)
    finish_kernel(int64_t num_blocks, const double* __restrict__ partial_sums, int64_t all, const Weights weights,
                  int64_t* __restrict__ num_pairs, double* __restrict__ terms) {
  TermSums& shared = arch::shared_object<TermSums>();
  for (int kind = 0; kind < 2; ++kind) {
    double sum = 0;
    for (int64_t block = threadIdx.x; block < num_blocks; block += kThreads) sum += partial_sums[2 * block + kind];
    shared.sums[kind][threadIdx.x] = sum;
  }
  __syncthreads();  // the sums of all threads are there
  if (threadIdx.x < 2) {
    double sum = 0;
    for (int t = 0; t < kThreads; ++t) sum += shared.sums[threadIdx.x][t];
    const int64_t positive = num_pairs[0];
    terms[threadIdx.x] = weights.of(threadIdx.x == 0, positive, all - positive) * sum;
    if (threadIdx.x == 1) num_pairs[1] = all - positive;
  }
}

// How the columns are divided among blocks.
struct Parts {
  int64_t row_tiles, tiles_per_part, count;
};

Parts plan(int64_t num_rows, int64_t num_columns, int64_t bits) {
  const int64_t row_tiles = divide_up(num_rows, kTile);
  const int64_t column_tiles = divide_up(num_columns, kTile);
  int64_t count = std::min(Tuning::kTargetBlocks / std::max<int64_t>(row_tiles, 1), column_tiles);
  count = std::max<int64_t>(std::min(count, Tuning::kMaxPartialValues / std::max<int64_t>(num_rows * bits, 1)), 1);
  const int64_t tiles_per_part = std::max<int64_t>(divide_up(column_tiles, count), 1);
  return {row_tiles, tiles_per_part, std::max<int64_t>(divide_up(column_tiles, tiles_per_part), 1)};
}

cudaError_t count_positive_pairs(const Pairs& pairs, int64_t* positive_pairs, cudaStream_t stream) {
  const cudaError_t error = cudaMemsetAsync(positive_pairs, 0, sizeof(int64_t), stream);
  if (error != cudaSuccess) return error;
  const int64_t row_blocks = divide_up(pairs.u.num_rows, kThreads);
  const int64_t wanted = std::clamp<int64_t>(Tuning::kTargetBlocks / row_blocks, 1, kMaxGridY);
  const int64_t columns_per_block = std::max<int64_t>(divide_up(pairs.v.num_rows, wanted), kTile);
  const dim3 grid(static_cast<unsigned>(row_blocks),
                  static_cast<unsigned>(divide_up(pairs.v.num_rows, columns_per_block)));
  return launch(count_kernel, grid, kThreads, 0, stream, pairs, columns_per_block,
                reinterpret_cast<Counter*>(positive_pairs));
}

cudaError_t no_pairs(int64_t grad_size, double* terms, int64_t* num_pairs, float* grad, cudaStream_t stream) {
  cudaError_t error = cudaMemsetAsync(terms, 0, 2 * sizeof(double), stream);
  if (error == cudaSuccess) error = cudaMemsetAsync(num_pairs, 0, 2 * sizeof(int64_t), stream);
  if (error == cudaSuccess && grad != nullptr && grad_size > 0) {
    error = cudaMemsetAsync(grad, 0, grad_size * sizeof(float), stream);
  }
  return error;
}

template <class Function>
cudaError_t pairwise_loss(const Embeddings<float>& u, const Embeddings<float>& v, int64_t bits, Labels u_labels,
                          Labels v_labels, const Function& function, const Weights& weights, double* terms,
                          int64_t* num_pairs, float* grad, int64_t* workspace, cudaStream_t stream) {
  Pairs pairs{u, v, bits, u_labels, v_labels, v.data == nullptr, 0, 0};
  if (pairs.itself) {
    pairs.v = u;
    pairs.v_labels = u_labels;
  }
  pairs.all = pairs.itself ? u.num_rows * (u.num_rows - 1) : u.num_rows * v.num_rows;
  const int64_t grad_size = u.num_rows * bits;
  if (u.num_rows == 0 || pairs.v.num_rows == 0) {
    return no_pairs(grad_size, terms, num_pairs, grad, stream);
  }

  const Parts parts = plan(u.num_rows, pairs.v.num_rows, bits);
  pairs.tiles_per_part = parts.tiles_per_part;
  const int64_t num_blocks = parts.row_tiles * parts.count;
  double* const partial_sums = reinterpret_cast<double*>(workspace);
  float* const partial_grad = reinterpret_cast<float*>(workspace + 2 * num_blocks);
  const auto launch_pass = [&](auto kernel) {
    const dim3 grid(static_cast<unsigned>(parts.row_tiles), static_cast<unsigned>(parts.count));
    return launch(kernel, grid, kThreads, 0, stream, pairs, function, weights, num_pairs, partial_sums, partial_grad);
  };
  cudaError_t error = count_positive_pairs(pairs, num_pairs, stream);
  if (error == cudaSuccess) {
    error = grad == nullptr ? launch_pass(pairs_kernel<Function, false, true>)
            : bits <= kTile ? launch_pass(pairs_kernel<Function, true, true>)
                            : launch_pass(pairs_kernel<Function, true, false>);
  }
  if (error == cudaSuccess && grad != nullptr) {
    error = launch(sum_gradients_kernel, grid_for(grad_size, kThreads), kThreads, 0, stream, grad_size, parts.count,
                   partial_grad, grad);
  }
  if (error == cudaSuccess) {
    error = launch(finish_kernel, dim3(1), kThreads, 0, stream, num_blocks, partial_sums, pairs.all, weights, num_pairs,
                   terms);
  }
  return error;
}

}  // namespace

int64_t pairwise_loss_workspace(int64_t num_rows, int64_t num_columns, int64_t bits, bool with_grad) noexcept {
  const Parts parts = plan(num_rows, num_columns, bits);
  const int64_t grad_values = with_grad ? parts.count * num_rows * bits : 0;
  return 2 * parts.row_tiles * parts.count + divide_up(grad_values, 2);
}

Status margin_loss(const Embeddings<float>& u, const Embeddings<float>& v, int64_t bits, Labels u_labels,
                   Labels v_labels, const MarginLoss& loss, double* terms, int64_t* num_pairs, float* grad,
                   int64_t* workspace, int device, void* stream) noexcept {
  const DeviceGuard guard(device);
  if (guard.error() != cudaSuccess) return report("margin_loss", guard.error());
  return report("margin_loss",
                pairwise_loss(u, v, bits, u_labels, v_labels, MarginFunction(loss), Weights(loss, PairMean::kEachKind),
                              terms, num_pairs, grad, workspace, static_cast<cudaStream_t>(stream)));
}

Status likelihood_loss(const Embeddings<float>& u, const Embeddings<float>& v, int64_t bits, Labels u_labels,
                       Labels v_labels, const LikelihoodLoss& loss, double* terms, int64_t* num_pairs, float* grad,
                       int64_t* workspace, int device, void* stream) noexcept {
  const DeviceGuard guard(device);
  if (guard.error() != cudaSuccess) return report("likelihood_loss", guard.error());
  return report("likelihood_loss",
                pairwise_loss(u, v, bits, u_labels, v_labels, LikelihoodFunction(loss), Weights(loss, loss.mean), terms,
                              num_pairs, grad, workspace, static_cast<cudaStream_t>(stream)));
}

Status cauchy_loss(const Embeddings<float>& u, const Embeddings<float>& v, int64_t bits, Labels u_labels,
                   Labels v_labels, const CauchyLoss& loss, double* terms, int64_t* num_pairs, float* grad,
                   int64_t* workspace, int device, void* stream) noexcept {
  const DeviceGuard guard(device);
  if (guard.error() != cudaSuccess) return report("cauchy_loss", guard.error());
  return report("cauchy_loss",
                pairwise_loss(u, v, bits, u_labels, v_labels, CauchyFunction(loss), Weights(loss, loss.mean), terms,
                              num_pairs, grad, workspace, static_cast<cudaStream_t>(stream)));
}

}  // namespace hashkernels::cuda
