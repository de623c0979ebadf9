// The pairwise losses: value and gradient in one pass over tiles of pairs, always with the same bits.
//
// The pass itself is written twice, in float32 and for tensor cores; here is what comes before and after it. Its blocks
// each leave a sum, and a gradient, of their part of the columns; parts are added in a fixed order at the end, so no
// addition depends on which block is done first. The batch against itself runs over all ordered pairs and doubles the
// slopes.
#include <cuda_runtime.h>

#include <algorithm>

#include "arch.cuh"
#include "hashkernels/cuda.h"
#include "labels.cuh"
#include "launch.cuh"
#include "pair_functions.cuh"
#include "pairs.cuh"

namespace hashkernels::cuda {
namespace {

using Tuning = tuning::Pairwise;
using Counter = unsigned long long;

constexpr int kThreads = Tuning::kThreads;

struct ColumnIds {
  int64_t ids[kThreads];
};

// Relevant columns first ... last of this thread's row, by class ids that all threads read from shared memory.
__device__ uint32_t count_equal_ids(const Pairs& pairs, int64_t row, int64_t first, int64_t last) {
  ColumnIds& columns = arch::shared_object<ColumnIds>();
  const int64_t* const column_ids = static_cast<const int64_t*>(pairs.v_labels.data);
  const int64_t own = static_cast<const int64_t*>(pairs.u_labels.data)[min(row, pairs.u.num_rows - 1)];
  uint32_t count = 0;
  for (int64_t start = first; start < last; start += kThreads) {
    const int size = static_cast<int>(min(int64_t{kThreads}, last - start));
    __syncthreads();  // the ids before have been read
    if (static_cast<int>(threadIdx.x) < size) columns.ids[threadIdx.x] = column_ids[start + threadIdx.x];
    __syncthreads();  // the ids are there
#pragma unroll 8
    for (int i = 0; i < size; ++i) count += columns.ids[i] == own ? 1 : 0;
  }
  return count - (pairs.itself && row >= first && row < last ? 1 : 0);
}

__global__ void __launch_bounds__(kThreads, 4)
    count_kernel(const Pairs pairs, int64_t columns_per_block, Counter* __restrict__ positive_pairs) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const int64_t first = blockIdx.y * columns_per_block;
  const int64_t last = min(first + columns_per_block, pairs.v.num_rows);
  const bool exists = row < pairs.u.num_rows;
  uint32_t count = 0;
  if (pairs.u_labels.words == 0) {
    count = count_equal_ids(pairs, row, first, last);
  } else if (exists) {
    const Relevance is_relevant(pairs.u_labels, row, pairs.v_labels);
    for (int64_t column = first; column < last; ++column) {
      count += is_relevant(column) && !(pairs.itself && column == row) ? 1 : 0;
    }
  }
  const uint32_t sum = __reduce_add_sync(0xFFFFFFFF, exists ? count : 0);
  if (threadIdx.x % 32 == 0 && sum != 0) atomicAdd(positive_pairs, static_cast<Counter>(sum));
}

// A value as the pass over the pairs takes it.
__device__ float value_of(const PairRows& items, int64_t row, int64_t bit, bool on_tensor_cores) {
  const int64_t at = row * items.stride + bit;
  if (items.dtype == DType::kFloat32) {
    const float value = static_cast<const float*>(items.data)[at];
    return on_tensor_cores ? in_two_parts(value) : value;
  }
  const uint16_t half = static_cast<const uint16_t*>(items.data)[at];
  return items.dtype == DType::kFloat16 ? arch::float16_to_float(half)
                                        : __uint_as_float(static_cast<uint32_t>(half) << 16);
}

// A warp takes a row.
__global__ void __launch_bounds__(kThreads)
    halves_kernel(const PairRows items, int64_t bits, bool on_tensor_cores, float* __restrict__ halves) {
  const int64_t row = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) / 32;
  if (row >= items.num_rows) return;
  double sum = 0;
  for (int64_t bit = threadIdx.x % 32; bit < bits; bit += 32) {
    const double value = value_of(items, row, bit, on_tensor_cores);
    sum += value * value;
  }
#pragma unroll
  for (int flip = 16; flip > 0; flip /= 2) sum += __shfl_xor_sync(0xFFFFFFFF, sum, flip);
  if (threadIdx.x % 32 == 0) halves[row] = static_cast<float>(sum / 2);
}

__global__ void __launch_bounds__(kThreads)
    sum_gradients_kernel(const PairRows u, int64_t bits, int64_t num_parts, const float* __restrict__ partial_grad,
                         const float* __restrict__ row_slopes, bool on_tensor_cores, float* __restrict__ grad) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const int64_t size = u.num_rows * bits;
  if (i >= size) return;
  double sum = 0;
  for (int64_t part = 0; part < num_parts; ++part) sum += partial_grad[part * size + i];
  if (row_slopes != nullptr) {
    const int64_t row = i / bits;
    double slopes = 0;
    for (int64_t part = 0; part < num_parts; ++part) slopes += row_slopes[part * u.num_rows + row];
    sum -= slopes * value_of(u, row, i - row * bits, on_tensor_cores);
  }
  grad[i] = static_cast<float>(sum);
}

struct TermSums {
  double of_warps[2][kThreads / 32];
};

// One block. num_pairs[0] holds the relevant pairs; [1] receives the others.
__global__ void __launch_bounds__(kThreads)
    finish_kernel(int64_t num_blocks, const double* __restrict__ partial_sums, int64_t all, const Weights weights,
                  int64_t* __restrict__ num_pairs, double* __restrict__ terms) {
  TermSums& shared = arch::shared_object<TermSums>();
  double sums[2] = {0, 0};
#pragma unroll
  for (int kind = 0; kind < 2; ++kind) {
    for (int64_t block = threadIdx.x; block < num_blocks; block += kThreads)
      sums[kind] += partial_sums[2 * block + kind];
    sums[kind] = sum_of_block<kThreads>(sums[kind], shared.of_warps[kind]);
  }
  if (threadIdx.x < 2) {
    const int64_t positive = num_pairs[0];
    const bool relevant = threadIdx.x == 0;
    const double divisor = weights.divisor(relevant, positive, all - positive);
    const double sum = relevant ? sums[0] : sums[1];
    terms[threadIdx.x] = (divisor == 0 ? 0 : weights.scale(relevant) / divisor) * sum;
    if (threadIdx.x == 1) num_pairs[1] = all - positive;
  }
}

// How the columns are divided among blocks.
struct Parts {
  int64_t row_tiles, tiles_per_part, count;
};

Parts plan(int64_t num_rows, int64_t num_columns, int64_t bits) {
  const int64_t row_tiles = divide_up(num_rows, kPairTile);
  const int64_t column_tiles = divide_up(num_columns, kPairTile);
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
  const int64_t columns_per_block = std::max<int64_t>(divide_up(pairs.v.num_rows, wanted), kPairTile);
  const dim3 grid(static_cast<unsigned>(row_blocks),
                  static_cast<unsigned>(divide_up(pairs.v.num_rows, columns_per_block)));
  return launch(count_kernel, grid, kThreads, 0, stream, pairs, columns_per_block,
                reinterpret_cast<Counter*>(positive_pairs));
}

cudaError_t find_halves(const PairRows& items, int64_t bits, bool on_tensor_cores, float* halves, cudaStream_t stream) {
  return launch(halves_kernel, grid_for(32 * items.num_rows, kThreads), kThreads, 0, stream, items, bits,
                on_tensor_cores, halves);
}

// The workspace: sums of blocks, then parts of the gradient, then halves of rows and columns and slopes of rows.
int64_t grad_start(const Parts& parts) { return 2 * parts.row_tiles * parts.count; }
int64_t lengths_start(const Parts& parts, int64_t num_rows, int64_t bits, bool with_grad) {
  return grad_start(parts) + (with_grad ? divide_up(parts.count * num_rows * bits, 2) : 0);
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
cudaError_t run(const PairInputs& inputs, const Function& function, const Weights& weights, PairPrecision precision,
                const PairOutputs& out, int64_t* workspace, cudaStream_t stream) {
  Pairs pairs{inputs.u, inputs.v, inputs.bits, inputs.u_labels, inputs.v_labels, inputs.v.data == nullptr, 0, 0};
  if (pairs.itself) {
    pairs.v = pairs.u;
    pairs.v_labels = pairs.u_labels;
  }
  const int64_t num_rows = pairs.u.num_rows, num_columns = pairs.v.num_rows;
  pairs.all = pairs.itself ? num_rows * (num_rows - 1) : num_rows * num_columns;
  const int64_t grad_size = num_rows * pairs.bits;
  if (num_rows == 0 || num_columns == 0) return no_pairs(grad_size, out.terms, out.num_pairs, out.grad, stream);

  const Parts parts = plan(num_rows, num_columns, pairs.bits);
  pairs.tiles_per_part = parts.tiles_per_part;
  const int64_t num_blocks = parts.row_tiles * parts.count;
  const bool with_grad = out.grad != nullptr;
  const bool all_float32 = pairs.u.dtype == DType::kFloat32 && pairs.v.dtype == DType::kFloat32;
  const bool on_tensor_cores = !all_float32 || precision == PairPrecision::kSplit;
  double* const partial_sums = reinterpret_cast<double*>(workspace);
  float* const partial_grad = with_grad ? reinterpret_cast<float*>(workspace + grad_start(parts)) : nullptr;
  Lengths lengths{};
  cudaError_t error = count_positive_pairs(pairs, out.num_pairs, stream);
  if constexpr (Function::kOfDistances) {
    float* const row_halves =
        reinterpret_cast<float*>(workspace + lengths_start(parts, num_rows, pairs.bits, with_grad));
    float* const column_halves = pairs.itself ? row_halves : row_halves + num_rows;
    lengths = {row_halves, column_halves, with_grad ? row_halves + num_rows + num_columns : nullptr};
    if (error == cudaSuccess) error = find_halves(pairs.u, pairs.bits, on_tensor_cores, row_halves, stream);
    if (error == cudaSuccess && !pairs.itself) {
      error = find_halves(pairs.v, pairs.bits, on_tensor_cores, column_halves, stream);
    }
  }
  const PairPass<Function> pass{pairs,         function,     weights,      parts.count,
                                out.num_pairs, partial_sums, partial_grad, lengths};
  if (error == cudaSuccess) error = on_tensor_cores ? run_split(pass, stream) : run_in_float32(pass, stream);
  if (error == cudaSuccess && with_grad) {
    error = launch(sum_gradients_kernel, grid_for(grad_size, kThreads), kThreads, 0, stream, pairs.u, pairs.bits,
                   parts.count, partial_grad, lengths.row_slopes, on_tensor_cores, out.grad);
  }
  if (error == cudaSuccess) {
    error = launch(finish_kernel, dim3(1), kThreads, 0, stream, num_blocks, partial_sums, pairs.all, weights,
                   out.num_pairs, out.terms);
  }
  return error;
}

template <class Function, class Loss>
Status pairwise_loss(const char* name, const PairInputs& inputs, const Loss& loss, PairMean mean,
                     PairPrecision precision, const PairOutputs& out, int64_t* workspace, int device, void* stream) {
  const DeviceGuard guard(device);
  if (guard.error() != cudaSuccess) return report(name, guard.error());
  return report(name, run(inputs, Function(loss), Weights(loss, mean), precision, out, workspace,
                          static_cast<cudaStream_t>(stream)));
}

}  // namespace

int64_t pairwise_loss_workspace(int64_t num_rows, int64_t num_columns, int64_t bits, bool with_grad) noexcept {
  const Parts parts = plan(num_rows, num_columns, bits);
  return lengths_start(parts, num_rows, bits, with_grad);
}

int64_t contrastive_loss_workspace(int64_t num_rows, int64_t num_columns, int64_t bits, bool with_grad) noexcept {
  const Parts parts = plan(num_rows, num_columns, bits);
  const int64_t slopes = with_grad ? parts.count * num_rows : 0;
  return lengths_start(parts, num_rows, bits, with_grad) + divide_up(num_rows + num_columns + slopes, 2);
}

Status margin_loss(const PairInputs& inputs, const MarginLoss& loss, PairPrecision precision, const PairOutputs& out,
                   int64_t* workspace, int device, void* stream) noexcept {
  return pairwise_loss<MarginFunction>("margin_loss", inputs, loss, PairMean::kEachKind, precision, out, workspace,
                                       device, stream);
}

Status likelihood_loss(const PairInputs& inputs, const LikelihoodLoss& loss, PairPrecision precision,
                       const PairOutputs& out, int64_t* workspace, int device, void* stream) noexcept {
  const auto run_with = [&](auto compute) {
    return compute("likelihood_loss", inputs, loss, loss.mean, precision, out, workspace, device, stream);
  };
  // Class ids have all in common.
  return loss.overlap && inputs.u_labels.words > 0 ? run_with(pairwise_loss<OverlapFunction, LikelihoodLoss>)
                                                   : run_with(pairwise_loss<LikelihoodFunction, LikelihoodLoss>);
}

Status cauchy_loss(const PairInputs& inputs, const CauchyLoss& loss, PairPrecision precision, const PairOutputs& out,
                   int64_t* workspace, int device, void* stream) noexcept {
  return pairwise_loss<CauchyFunction>("cauchy_loss", inputs, loss, loss.mean, precision, out, workspace, device,
                                       stream);
}

Status contrastive_loss(const PairInputs& inputs, const ContrastiveLoss& loss, PairPrecision precision,
                        const PairOutputs& out, int64_t* workspace, int device, void* stream) noexcept {
  return pairwise_loss<ContrastiveFunction>("contrastive_loss", inputs, loss, loss.mean, precision, out, workspace,
                                            device, stream);
}

}  // namespace hashkernels::cuda
