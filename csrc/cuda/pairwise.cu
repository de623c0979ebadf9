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

constexpr int kThreads = Tuning::kThreads;

struct ColumnIds {
  int64_t ids[kThreads];
  bool counted[kThreads];
};

// What a thread counts of the pairs of its row.
struct RowCounts {
  uint32_t positive = 0, left_out = 0;
};

// Columns first ... last of this thread's row, by class ids that all threads read from shared memory.
__device__ RowCounts count_by_ids(const Pairs& pairs, int64_t row, int64_t first, int64_t last) {
  ColumnIds& columns = arch::shared_object<ColumnIds>();
  const int64_t* const column_ids = static_cast<const int64_t*>(pairs.v_labels.data);
  const int64_t own = static_cast<const int64_t*>(pairs.u_labels.data)[min(row, pairs.u.num_rows - 1)];
  RowCounts counts;
  for (int64_t start = first; start < last; start += kThreads) {
    const int size = static_cast<int>(min(int64_t{kThreads}, last - start));
    __syncthreads();  // the ids before have been read
    if (static_cast<int>(threadIdx.x) < size) {
      columns.ids[threadIdx.x] = column_ids[start + threadIdx.x];
      columns.counted[threadIdx.x] = pairs.column_counts(start + threadIdx.x);
    }
    __syncthreads();  // the ids are there
    if (pairs.counted == nullptr) {
#pragma unroll 8
      for (int i = 0; i < size; ++i) counts.positive += columns.ids[i] == own ? 1 : 0;
    } else {
#pragma unroll 8
      for (int i = 0; i < size; ++i) {
        counts.positive += columns.counted[i] && columns.ids[i] == own ? 1 : 0;
        counts.left_out += columns.counted[i] ? 0 : 1;
      }
    }
  }
  return counts;
}

__device__ RowCounts count_by_words(const Pairs& pairs, const Relevance& is_relevant, int64_t first, int64_t last) {
  RowCounts counts;
  for (int64_t column = first; column < last; ++column) {
    const bool counted = pairs.column_counts(column);
    counts.positive += counted && is_relevant(column) ? 1 : 0;
    counts.left_out += counted ? 0 : 1;
  }
  return counts;
}

// Adds up over a warp, of which all lanes take part.
__device__ void add_to(unsigned long long* total, uint32_t count) {
  const uint32_t sum = __reduce_add_sync(0xFFFFFFFF, count);
  if (threadIdx.x % 32 == 0 && sum != 0) atomicAdd(total, static_cast<unsigned long long>(sum));
}

__global__ void __launch_bounds__(kThreads, 4)
    count_kernel(const Pairs pairs, int64_t columns_per_block, PairCounts* __restrict__ all_counts) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const int64_t first = blockIdx.y * columns_per_block;
  const int64_t last = min(first + columns_per_block, pairs.v.num_rows);
  const bool exists = row < pairs.u.num_rows;
  RowCounts counts;
  if (pairs.u_labels.words == 0) counts = count_by_ids(pairs, row, first, last);
  if (exists) {
    const Relevance is_relevant(pairs.u_labels, row, pairs.v_labels);
    if (pairs.u_labels.words > 0) counts = count_by_words(pairs, is_relevant, first, last);
    const int64_t own = pairs.own_column(row);
    if (own >= first && own < last && pairs.column_counts(own)) {
      ++counts.left_out;
      counts.positive -= is_relevant(own) ? 1 : 0;
    }
  }
  add_to(&all_counts->positive, exists ? counts.positive : 0);
  add_to(&all_counts->left_out, exists ? counts.left_out : 0);
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

// What each value of u has of the gradient and of the sign error.
struct ValuePass {
  PairRows u;
  int64_t bits;
  bool on_tensor_cores;
  int64_t num_parts;
  const float* partial_grad;  // [part][row][bit]
  const float* row_slopes;    // of Lengths
  double quantization;
  double* partial_errors;  // [block]: squares of sign errors
  float* grad;             // [row][bit], or null

  __device__ double gradient_of_pairs(int64_t i) const {
    double sum = 0;
    for (int64_t part = 0; part < num_parts; ++part) sum += partial_grad[part * u.num_rows * bits + i];
    if (row_slopes == nullptr) return sum;
    const int64_t row = i / bits;
    double slopes = 0;
    for (int64_t part = 0; part < num_parts; ++part) slopes += row_slopes[part * u.num_rows + row];
    return sum - slopes * value_of(u, row, i - row * bits, on_tensor_cores);
  }

  __device__ double sign_error(int64_t i) const {
    const double value = value_of(u, i / bits, i % bits, false);
    return value > 0 ? value - 1 : value + 1;
  }
};

struct SumOfWarps {
  double of_warps[kThreads / 32];
};

__global__ void __launch_bounds__(kThreads) values_kernel(const ValuePass pass) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const bool exists = i < pass.u.num_rows * pass.bits;
  const double error = exists && pass.quantization != 0 ? pass.sign_error(i) : 0;
  if (exists && pass.grad != nullptr) {
    pass.grad[i] = static_cast<float>(pass.gradient_of_pairs(i) + 2 * pass.quantization * error);
  }
  const double sum = sum_of_block<kThreads>(error * error, arch::shared_object<SumOfWarps>().of_warps);
  if (threadIdx.x == 0) pass.partial_errors[blockIdx.x] = sum;
}

struct TermSums {
  double of_warps[3][kThreads / 32];
};

// What the blocks of both passes leave, and where the sums of it go.
struct Finish {
  int64_t num_blocks, num_value_blocks;
  const double* partial_sums;
  const double* partial_errors;
  Pairs pairs;
  const PairCounts* counts;
  Weights weights;
  double quantization;
  float* total;
  double* sums;

  __device__ double term(bool relevant, double sum) const {
    const double divisor = weights.divisor(relevant, pairs, *counts);
    return (divisor == 0 ? 0 : weights.scale(relevant) / divisor) * sum;
  }
};

// One block.
__global__ void __launch_bounds__(kThreads) finish_kernel(const Finish finish) {
  TermSums& shared = arch::shared_object<TermSums>();
  double losses[2] = {0, 0}, errors = 0;
#pragma unroll
  for (int kind = 0; kind < 2; ++kind) {
    for (int64_t block = threadIdx.x; block < finish.num_blocks; block += kThreads)
      losses[kind] += finish.partial_sums[2 * block + kind];
    losses[kind] = sum_of_block<kThreads>(losses[kind], shared.of_warps[kind]);
  }
  for (int64_t block = threadIdx.x; block < finish.num_value_blocks; block += kThreads)
    errors += finish.partial_errors[block];
  errors = sum_of_block<kThreads>(errors, shared.of_warps[2]);
  if (threadIdx.x != 0) return;
  const double positive = finish.term(true, losses[0]), negative = finish.term(false, losses[1]);
  const double quantization = finish.quantization * errors;
  finish.sums[0] = positive;
  finish.sums[1] = negative;
  finish.sums[2] = quantization;
  finish.sums[3] = static_cast<double>(finish.counts->positive);
  finish.sums[4] = static_cast<double>(finish.counts->negative(finish.pairs));
  *finish.total = static_cast<float>(positive + negative + quantization);
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

cudaError_t count_pairs(const Pairs& pairs, PairCounts* counts, cudaStream_t stream) {
  const int64_t row_blocks = divide_up(pairs.u.num_rows, kThreads);
  const int64_t wanted = std::clamp<int64_t>(Tuning::kTargetBlocks / row_blocks, 1, kMaxGridY);
  const int64_t columns_per_block =
      std::clamp<int64_t>(divide_up(pairs.v.num_rows, wanted), kPairTile, Tuning::kMostCounted);
  const dim3 grid(static_cast<unsigned>(row_blocks),
                  static_cast<unsigned>(divide_up(pairs.v.num_rows, columns_per_block)));
  return launch(count_kernel, grid, kThreads, 0, stream, pairs, columns_per_block, counts);
}

cudaError_t find_halves(const PairRows& items, int64_t bits, bool on_tensor_cores, float* halves, cudaStream_t stream) {
  return launch(halves_kernel, grid_for(32 * items.num_rows, kThreads), kThreads, 0, stream, items, bits,
                on_tensor_cores, halves);
}

// The workspace: numbers of pairs, then sums of blocks of values and of blocks of pairs, then parts of the gradient,
// then halves of rows and columns and slopes of rows.
constexpr int64_t kErrorsStart = sizeof(PairCounts) / sizeof(int64_t);
int64_t value_blocks(int64_t num_rows, int64_t bits) { return divide_up(num_rows * bits, kThreads); }
int64_t sums_start(int64_t num_rows, int64_t bits) { return kErrorsStart + value_blocks(num_rows, bits); }
int64_t grad_start(const Parts& parts, int64_t num_rows, int64_t bits) {
  return sums_start(num_rows, bits) + 2 * parts.row_tiles * parts.count;
}
int64_t lengths_start(const Parts& parts, int64_t num_rows, int64_t bits, bool with_grad) {
  return grad_start(parts, num_rows, bits) + (with_grad ? divide_up(parts.count * num_rows * bits, 2) : 0);
}

// Losses of all pairs, and their gradient in parts.
template <class Function>
cudaError_t run_pairs(const PairPass<Function>& pass, bool on_tensor_cores, PairCounts* counts, cudaStream_t stream) {
  cudaError_t error = count_pairs(pass.pairs, counts, stream);
  if constexpr (Function::kOfDistances) {
    const Pairs& pairs = pass.pairs;
    if (error == cudaSuccess) {
      error = find_halves(pairs.u, pairs.bits, on_tensor_cores, pass.lengths.row_halves, stream);
    }
    if (error == cudaSuccess && !pairs.itself) {
      error = find_halves(pairs.v, pairs.bits, on_tensor_cores, pass.lengths.column_halves, stream);
    }
  }
  if (error != cudaSuccess) return error;
  return on_tensor_cores ? run_split(pass, stream) : run_in_float32(pass, stream);
}

template <class Function>
cudaError_t run(const PairInputs& inputs, const Function& function, const Weights& weights, PairPrecision precision,
                const PairOutputs& out, int64_t* workspace, cudaStream_t stream) {
  Pairs pairs{inputs.u,        inputs.v,        inputs.bits,
              inputs.u_labels, inputs.v_labels, inputs.v.data == nullptr,
              inputs.left_out, inputs.counted,  0};
  if (pairs.itself) {
    pairs.v = pairs.u;
    pairs.v_labels = pairs.u_labels;
  }
  const int64_t num_rows = pairs.u.num_rows, num_columns = pairs.v.num_rows, bits = pairs.bits;
  const bool any_pairs = num_rows > 0 && num_columns > 0, with_grad = out.grad != nullptr;
  const bool any_values = num_rows > 0 && (with_grad || inputs.quantization != 0);
  const bool all_float32 = pairs.u.dtype == DType::kFloat32 && pairs.v.dtype == DType::kFloat32;
  const bool on_tensor_cores = !all_float32 || precision == PairPrecision::kSplit;
  const Parts parts = plan(num_rows, num_columns, bits);
  pairs.tiles_per_part = parts.tiles_per_part;

  PairCounts* const counts = reinterpret_cast<PairCounts*>(workspace);
  double* const partial_errors = reinterpret_cast<double*>(workspace + kErrorsStart);
  double* const partial_sums = reinterpret_cast<double*>(workspace + sums_start(num_rows, bits));
  float* const partial_grad =
      with_grad ? reinterpret_cast<float*>(workspace + grad_start(parts, num_rows, bits)) : nullptr;
  Lengths lengths{};
  if constexpr (Function::kOfDistances) {
    float* const halves = reinterpret_cast<float*>(workspace + lengths_start(parts, num_rows, bits, with_grad));
    lengths = {halves, pairs.itself ? halves : halves + num_rows,
               with_grad ? halves + num_rows + num_columns : nullptr};
  }
  cudaError_t error = cudaMemsetAsync(counts, 0, sizeof(PairCounts), stream);
  if (error == cudaSuccess && any_pairs) {
    error = run_pairs(
        PairPass<Function>{pairs, function, weights, parts.count, counts, partial_sums, partial_grad, lengths},
        on_tensor_cores, counts, stream);
  }
  if (error == cudaSuccess && any_values) {
    const ValuePass pass{pairs.u,
                         bits,
                         on_tensor_cores,
                         any_pairs ? parts.count : 0,
                         partial_grad,
                         lengths.row_slopes,
                         inputs.quantization,
                         partial_errors,
                         out.grad};
    error = launch(values_kernel, grid_for(num_rows * bits, kThreads), kThreads, 0, stream, pass);
  }
  if (error == cudaSuccess) {
    const Finish finish{any_pairs ? parts.row_tiles * parts.count : 0,
                        any_values ? value_blocks(num_rows, bits) : 0,
                        partial_sums,
                        partial_errors,
                        pairs,
                        counts,
                        weights,
                        inputs.quantization,
                        out.total,
                        out.sums};
    error = launch(finish_kernel, dim3(1), kThreads, 0, stream, finish);
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
