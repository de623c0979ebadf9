// The pairwise losses on tensor cores (pairwise_fragments.cuh): float32 split in two, float16 and bfloat16 as they are.
//
// A block owns a tile of rows, 16 of them a warp, and walks a range of column tiles. The sums that a warp receives as
// inner products are, turned into slopes, what it multiplies by the columns again: no slope leaves its registers. Where
// an embedding is longer than a tile is wide, slices of it come one after another, and the gradient is added up in the
// block's own part of the workspace, else in registers.
#include <cuda_runtime.h>

#include "arch.cuh"
#include "launch.cuh"
#include "pair_functions.cuh"
#include "pair_relevance.cuh"
#include "pairs.cuh"
#include "pairwise_fragments.cuh"

namespace hashkernels::cuda {
namespace {

// Sum e of block b lies in row 8 * (e / 2) and column 8 * b + e % 2 from those of the lane on: number e / 2 of its
// rows, and of its columns this one.
__device__ __forceinline__ constexpr int own_column(int block, int e) { return 2 * block + e % 2; }

constexpr int kOwnRows = 2;
constexpr int kOwnColumns = 2 * kBlocks;

// Where they lie in the tile.
__device__ __forceinline__ int tile_row(const Lane& lane, int i) { return lane.row + 8 * i; }
__device__ __forceinline__ int tile_column(const Lane& lane, int j) { return lane.column + 8 * (j / 2) + j % 2; }

// The bits at those columns, side by side: two of each eight.
__device__ __forceinline__ uint32_t own_bits(uint64_t of_tile, const Lane& lane) {
  const uint64_t twos = (of_tile >> lane.column) & 0x0303030303030303;
  const uint64_t fours = (twos | twos >> 6) & 0x000F000F000F000F;
  const uint64_t eights = (fours | fours >> 12) & 0x000000FF000000FF;
  return static_cast<uint32_t>(eights | eights >> 24) & 0xFFFF;
}

// Visits block and e of all sums.
template <class Visit>
__device__ __forceinline__ void for_each_sum(Visit&& visit) {
#pragma unroll
  for (int block = 0; block < kBlocks; ++block) {
#pragma unroll
    for (int e = 0; e < 4; ++e) visit(block, e);
  }
}

// Of the pairs of this lane. shared.column_labels holds the first word of every column's.
template <class Function, int parts>
__device__ __forceinline__ PairRelevance<Function, kOwnRows, kOwnColumns> relevant_pairs(
    const Pairs& pairs, Shared<parts>& shared, const Lane& lane, int64_t first_row, int64_t first_column) {
  const bool ids = pairs.u_labels.words == 0;
  const int words = ids ? 1 : pairs.u_labels.words;
  const uint64_t* const row_words = static_cast<const uint64_t*>(pairs.u_labels.data);
  PairRelevance<Function, kOwnRows, kOwnColumns> relevant;
  for (int w = 0; w < words; ++w) {
    if (w > 0) {
      __syncthreads();  // the word before has been read
      stage_labels(pairs, first_column, w, shared.column_labels);
      __syncthreads();  // the word is there
    }
    uint64_t row[kOwnRows];
    uint64_t column[kOwnColumns];
#pragma unroll
    for (int i = 0; i < kOwnRows; ++i) {
      row[i] = __ldg(row_words + min(first_row + tile_row(lane, i), pairs.u.num_rows - 1) * words + w);
    }
#pragma unroll
    for (int j = 0; j < kOwnColumns; ++j) column[j] = shared.column_labels[tile_column(lane, j)];
    relevant.add(row, column, ids);
  }
  return relevant;
}

// Turns the inner products of the pairs of this lane into those of distances.
template <class Function>
__device__ __forceinline__ void to_distances(const PairPass<Function>& pass, const Lane& lane, int64_t first_row,
                                             int64_t first_column, float (&theta)[kBlocks][4]) {
  float rows[kOwnRows];
  float columns[kOwnColumns];
#pragma unroll
  for (int i = 0; i < kOwnRows; ++i) rows[i] = pass.row_half(first_row + tile_row(lane, i));
#pragma unroll
  for (int j = 0; j < kOwnColumns; ++j) columns[j] = pass.column_half(first_column + tile_column(lane, j));
  for_each_sum([&](int block, int e) { theta[block][e] -= rows[e / 2] + columns[own_column(block, e)]; });
}

template <class Function, int parts, bool one_slice>
__global__ void __launch_bounds__(kThreads, parts == 1 ? 2 : 3) split_kernel(const PairPass<Function> pass) {
  const Pairs& pairs = pass.pairs;
  Shared<parts>& shared = arch::shared_object<Shared<parts>>();
  const Lane lane;
  const int64_t first_row = static_cast<int64_t>(blockIdx.x) * kRows;
  const int64_t first = pass.first_tile() * kPairTile;
  const int64_t last = min(pass.last_tile() * kPairTile, pairs.v.num_rows);
  // Slopes of distances are these: they enter a product with the columns, and a sum for the row, as the same numbers.
  const auto weight_of = [&](bool relevant) {
    const float weight = pass.weight(relevant);
    return Function::kOfDistances ? in_two_parts(weight) : weight;
  };
  const float positive_weight = weight_of(true);
  const float negative_weight = weight_of(false);
  const bool with_grad = pass.partial_grad != nullptr;
  float* const partial_grad = with_grad ? pass.own_grad() : nullptr;

  // sum(row, bit) with the address of each value of the gradient that this lane has of a block of 8 from first_bit on.
  const auto for_each_value = [&](int64_t first_bit, auto&& visit) {
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      const int64_t row = first_row + lane.row + 8 * (e / 2);
      const int64_t bit = first_bit + lane.column + e % 2;
      if (row < pairs.u.num_rows && bit < pairs.bits) visit(partial_grad + row * pairs.bits + bit, e);
    }
  };

  double sums[2] = {0, 0};
  float grad[kGradBlocks][4] = {};
  [[maybe_unused]] float row_slopes[kOwnRows] = {};
  for (int64_t first_column = first; first_column < last; first_column += kColumns) {
    float theta[kBlocks][4] = {};
    for (int64_t slice = 0; slice < pairs.bits; slice += kSlice) {
      __syncthreads();  // the slice before has been read
      if (!one_slice || first_column == first) stage(pairs.u, pairs.bits, first_row, slice, shared.rows);
      stage(pairs.v, pairs.bits, first_column, slice, shared.columns);
      if (slice == 0) stage_labels(pairs, first_column, 0, shared.column_labels);
      __syncthreads();  // the slice is there
      if constexpr (Function::kOfDistances && !one_slice) {
        // What tensor cores cut off at every step must not grow with the length of the sum.
        float part[kBlocks][4] = {};
        add_products<true>(shared, lane, pairs.bits - slice, part);
        for_each_sum([&](int block, int e) { theta[block][e] += part[block][e]; });
      } else {
        add_products<Function::kOfDistances>(shared, lane, pairs.bits - slice, theta);
      }
    }

    if constexpr (Function::kOfDistances) to_distances(pass, lane, first_row, first_column, theta);
    const auto relevant = relevant_pairs<Function>(pairs, shared, lane, first_row, first_column);
    const uint32_t counted = counted_pairs<kOwnRows, kOwnColumns, kRows, kColumns>(
        pairs, first_row, first_column, [&](int i) { return tile_row(lane, i); },
        [&](uint64_t of_tile) { return own_bits(of_tile, lane); });
    float tile_sums[2] = {0, 0};
    for_each_sum([&](int block, int e) {
      const int column = own_column(block, e);
      const bool is_relevant = relevant(e / 2, column);
      const bool counts = (counted >> (kOwnColumns * (e / 2) + column) & 1) != 0;
      const PairValue value = relevant.weigh(pass.function(theta[block][e], is_relevant), e / 2, column);
      tile_sums[0] += counts && is_relevant ? value.loss : 0.0f;
      tile_sums[1] += counts && !is_relevant ? value.loss : 0.0f;
      const float weight = is_relevant ? positive_weight : negative_weight;
      theta[block][e] = counts ? value.slope * weight : 0.0f;  // a slope from here on
      if constexpr (Function::kOfDistances) row_slopes[e / 2] += theta[block][e];
    });
    sums[0] += tile_sums[0];
    sums[1] += tile_sums[1];
    if (!with_grad) continue;

    const Slopes slopes(theta);
    if constexpr (one_slice) {
      for_each_gradient<Function::kOfDistances>(shared, lane, slopes, pairs.bits,
                                                [&](int block, const float (&part)[4]) {
#pragma unroll
                                                  for (int e = 0; e < 4; ++e) grad[block][e] += part[e];
                                                });
    } else {
      for (int64_t slice = 0; slice < pairs.bits; slice += kSlice) {
        __syncthreads();  // the columns have been read
        stage(pairs.v, pairs.bits, first_column, slice, shared.columns);
        __syncthreads();  // the columns are there
        for_each_gradient<Function::kOfDistances>(
            shared, lane, slopes, pairs.bits - slice, [&](int block, const float (&part)[4]) {
              for_each_value(slice + 8 * block,
                             [&](float* sum, int e) { *sum = first_column == first ? part[e] : *sum + part[e]; });
            });
      }
    }
  }

  if (one_slice && with_grad) {
#pragma unroll
    for (int block = 0; block < kGradBlocks; ++block) {
      for_each_value(8 * block, [&](float* sum, int e) { *sum = grad[block][e]; });
    }
  }
  if constexpr (Function::kOfDistances) pass.template store_row_slopes<4>(row_slopes, first_row + lane.row, 8);
  pass.template store_sums<kThreads>(sums, shared.sums);
}

}  // namespace

template <class Function>
cudaError_t run_split(const PairPass<Function>& pass, void* stream) {
  const auto launch_with = [&](auto one_slice_kernel, auto kernel) {
    return launch(pass.pairs.bits <= kSlice ? one_slice_kernel : kernel, pass.grid(), kThreads, 0, stream, pass);
  };
  // The less common losses have no kernels of their own for one part.
  if constexpr (!Function::kOfDistances && !Function::kOfShares) {
    if (pass.pairs.u.dtype == DType::kBFloat16 && pass.pairs.v.dtype == DType::kBFloat16) {
      return launch_with(split_kernel<Function, 1, true>, split_kernel<Function, 1, false>);
    }
  }
  return launch_with(split_kernel<Function, 2, true>, split_kernel<Function, 2, false>);
}

template cudaError_t run_split(const PairPass<MarginFunction>&, void*);
template cudaError_t run_split(const PairPass<LikelihoodFunction>&, void*);
template cudaError_t run_split(const PairPass<OverlapFunction>&, void*);
template cudaError_t run_split(const PairPass<CauchyFunction>&, void*);
template cudaError_t run_split(const PairPass<ContrastiveFunction>&, void*);

}  // namespace hashkernels::cuda
