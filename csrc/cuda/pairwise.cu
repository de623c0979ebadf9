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
    const bool relevant = threadIdx.x == 0;
    const double divisor = weights.divisor(relevant, positive, all - positive);
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
  double* const partial_sums = reinterpret_cast<double*>(workspace);
  float* const partial_grad = out.grad == nullptr ? nullptr : reinterpret_cast<float*>(workspace + 2 * num_blocks);
  const PairPass<Function> pass{pairs, function, weights, parts.count, out.num_pairs, partial_sums, partial_grad};
  cudaError_t error = count_positive_pairs(pairs, out.num_pairs, stream);
  if (error == cudaSuccess) {
    const bool all_float32 = pairs.u.dtype == DType::kFloat32 && pairs.v.dtype == DType::kFloat32;
    error =
        all_float32 && precision == PairPrecision::kFloat32 ? run_in_float32(pass, stream) : run_split(pass, stream);
  }
  if (error == cudaSuccess && out.grad != nullptr) {
    error = launch(sum_gradients_kernel, grid_for(grad_size, kThreads), kThreads, 0, stream, grad_size, parts.count,
                   partial_grad, out.grad);
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
  const int64_t grad_values = with_grad ? parts.count * num_rows * bits : 0;
  return 2 * parts.row_tiles * parts.count + divide_up(grad_values, 2);
}

Status margin_loss(const PairInputs& inputs, const MarginLoss& loss, PairPrecision precision, const PairOutputs& out,
                   int64_t* workspace, int device, void* stream) noexcept {
  return pairwise_loss<MarginFunction>("margin_loss", inputs, loss, PairMean::kEachKind, precision, out, workspace,
                                       device, stream);
}

Status likelihood_loss(const PairInputs& inputs, const LikelihoodLoss& loss, PairPrecision precision,
                       const PairOutputs& out, int64_t* workspace, int device, void* stream) noexcept {
  if (loss.overlap) return Status::kUnsupported;
  return pairwise_loss<LikelihoodFunction>("likelihood_loss", inputs, loss, loss.mean, precision, out, workspace,
                                           device, stream);
}

Status cauchy_loss(const PairInputs& inputs, const CauchyLoss& loss, PairPrecision precision, const PairOutputs& out,
                   int64_t* workspace, int device, void* stream) noexcept {
  return pairwise_loss<CauchyFunction>("cauchy_loss", inputs, loss, loss.mean, precision, out, workspace, device,
                                       stream);
}

}  // namespace hashkernels::cuda
