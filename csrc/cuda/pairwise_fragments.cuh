// A tile of pairs on tensor cores.
//
// A float32 is taken as the sum of two bfloat16, high and low, which together have 16 bits of it; a float16 is such a
// sum exactly, and a bfloat16 has no low part. Three multiplications of bfloat16 take half the time of the three of
// TF32 that would keep 21 bits. Products keep high * high, high * low and low * high; the rest is below 2^-18 of the
// product. Distances and their gradients, small differences of products, keep low * low as well. A warp multiplies 16
// rows by all columns of the tile.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "arch.cuh"
#include "pairs.cuh"
#include "tuning.cuh"

namespace hashkernels::cuda {
namespace {

constexpr int kRows = kPairTile;
constexpr int kColumns = tuning::Pairwise::kSplitColumns;
constexpr int kSlice = 64;  // values of an embedding at a time
constexpr int kRowsPerWarp = 16;
constexpr int kWarps = kRows / kRowsPerWarp;
constexpr int kThreads = 32 * kWarps;
constexpr int kDepth = 16;               // what a multiplication sums over
constexpr int kBlocks = kColumns / 8;    // of columns
constexpr int kGradBlocks = kSlice / 8;  // of values of the gradient
constexpr int kPitch = kSlice + 8;       // 16 bytes more: eight rows begin in eight different groups of banks
static_assert(kPairTile % kColumns == 0, "parts of the columns are made of whole tiles");

// A slice of `count` items in `parts` parts.
template <int parts, int count>
using Staged = uint16_t[parts][count][kPitch];

template <int parts>
struct alignas(16) Shared {
  Staged<parts, kRows> rows;
  Staged<parts, kColumns> columns;
  uint64_t column_labels[kColumns];  // one word of each
  double sums[2][kWarps];
};

// Values first_bit .. first_bit + 4 of an item; those past the end, and those of items past the end, are zero.
struct FourFloats {
  float values[4];
};
struct FourHalves {
  uint16_t values[4];
};

template <class Four, class Value>
__device__ __forceinline__ Four load_four(const PairRows& items, int64_t item, int64_t bit, int64_t bits) {
  Four four{};
  if (item >= items.num_rows) return four;
  const Value* const from = static_cast<const Value*>(items.data) + item * items.stride + bit;
  if (bit + 4 <= bits && reinterpret_cast<uintptr_t>(from) % (4 * sizeof(Value)) == 0) {
    if constexpr (sizeof(Value) == 4) {
      const float4 vector = __ldg(reinterpret_cast<const float4*>(from));
      return {{vector.x, vector.y, vector.z, vector.w}};
    } else {
      const uint2 vector = __ldg(reinterpret_cast<const uint2*>(from));
      return {{static_cast<uint16_t>(vector.x), static_cast<uint16_t>(vector.x >> 16), static_cast<uint16_t>(vector.y),
               static_cast<uint16_t>(vector.y >> 16)}};
    }
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if (bit + i < bits) four.values[i] = __ldg(from + i);
  }
  return four;
}

template <int count>
__device__ __forceinline__ void store_four(const FourFloats& four, Staged<2, count>& out, int item, int bit) {
  uint2 high;
  uint2 low;
  split(four.values[0], four.values[1], high.x, low.x);
  split(four.values[2], four.values[3], high.y, low.y);
  *reinterpret_cast<uint2*>(&out[0][item][bit]) = high;
  *reinterpret_cast<uint2*>(&out[1][item][bit]) = low;
}

// A slice of values, from first_bit on, of `count` items, from first_item on.
template <int parts, int count>
__device__ __forceinline__ void stage(const PairRows& items, int64_t bits, int64_t first_item, int64_t first_bit,
                                      Staged<parts, count>& out) {
#pragma unroll 4
  for (int i = threadIdx.x; i < count * kSlice / 4; i += kThreads) {
    const int item = i / (kSlice / 4);
    const int bit = i % (kSlice / 4) * 4;
    const int64_t from_item = first_item + item;
    const int64_t from_bit = first_bit + bit;
    if constexpr (parts == 1) {
      const FourHalves four = load_four<FourHalves, uint16_t>(items, from_item, from_bit, bits);
      *reinterpret_cast<uint2*>(&out[0][item][bit]) =
          uint2{four.values[0] | static_cast<uint32_t>(four.values[1]) << 16,
                four.values[2] | static_cast<uint32_t>(four.values[3]) << 16};
    } else if (items.dtype == DType::kFloat32) {
      store_four<count>(load_four<FourFloats, float>(items, from_item, from_bit, bits), out, item, bit);
    } else {
      const FourHalves four = load_four<FourHalves, uint16_t>(items, from_item, from_bit, bits);
      FourFloats floats;
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        floats.values[k] = items.dtype == DType::kFloat16
                               ? arch::float16_to_float(four.values[k])
                               : __uint_as_float(static_cast<uint32_t>(four.values[k]) << 16);
      }
      store_four<count>(floats, out, item, bit);
    }
  }
}

template <class Word>
__device__ __forceinline__ void stage_labels(const Pairs& pairs, int64_t first_column, int word,
                                             Word (&out)[kColumns]) {
  if (threadIdx.x >= kColumns) return;
  const int64_t column = min(first_column + threadIdx.x, pairs.v.num_rows - 1);
  out[threadIdx.x] =
      __ldg(static_cast<const Word*>(pairs.v_labels.data) + column * max(pairs.v_labels.words, 1) + word);
}

// Where this lane stands: in the first of the rows and columns of its values, and at the rows of matrices that it
// names.
struct Lane {
  __device__ Lane()
      : warp_row(threadIdx.x / 32 * kRowsPerWarp),
        row(warp_row + threadIdx.x % 32 / 4),
        column(threadIdx.x % 4 * 2),
        matrix_row(threadIdx.x % 8),
        odd_matrix(threadIdx.x / 8 % 2 * 8),
        late_matrix(threadIdx.x / 16 % 2 * 8) {}

  int warp_row, row, column;
  int matrix_row;
  int odd_matrix;   // 8 in the second and fourth matrix
  int late_matrix;  // 8 in the third and fourth
};

// products[block] += the rows of this warp times columns 8 * block ... of the tile, over `left` values, at most a
// slice.
template <bool all_products, int parts>
__device__ __forceinline__ void add_products(const Shared<parts>& shared, const Lane& lane, int64_t left,
                                             float (&products)[kBlocks][4]) {
#pragma unroll
  for (int step = 0; step < kSlice / kDepth; ++step) {
    if (step * kDepth >= left) break;
    uint32_t rows[parts][4];
#pragma unroll
    for (int p = 0; p < parts; ++p) {
      arch::load_matrices(
          rows[p],
          &shared.rows[p][lane.warp_row + lane.odd_matrix + lane.matrix_row][step * kDepth + lane.late_matrix]);
    }
#pragma unroll
    for (int block = 0; block < kBlocks; block += 2) {
      uint32_t columns[parts][4];
#pragma unroll
      for (int p = 0; p < parts; ++p) {
        arch::load_matrices(
            columns[p],
            &shared.columns[p][8 * block + lane.late_matrix + lane.matrix_row][step * kDepth + lane.odd_matrix]);
      }
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        float (&sums)[4] = products[block + i];
        if constexpr (parts == 2 && all_products) {
          arch::multiply_bf16(sums, rows[1], columns[1][2 * i], columns[1][2 * i + 1]);
        }
        if constexpr (parts == 2) {
          arch::multiply_bf16(sums, rows[1], columns[0][2 * i], columns[0][2 * i + 1]);
          arch::multiply_bf16(sums, rows[0], columns[1][2 * i], columns[1][2 * i + 1]);
        }
        arch::multiply_bf16(sums, rows[0], columns[0][2 * i], columns[0][2 * i + 1]);
      }
    }
  }
}

constexpr int kSlopeSteps = kColumns / kDepth;

// The slopes of 16 rows and all columns of the tile, as the left side of a multiplication.
struct Slopes {
  // What a lane receives as sums is what it brings as the left side.
  __device__ explicit Slopes(const float (&slopes)[kBlocks][4]) {
#pragma unroll
    for (int step = 0; step < kSlopeSteps; ++step) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float (&pair)[4] = slopes[2 * step + i / 2];
        split(pair[i % 2 * 2], pair[i % 2 * 2 + 1], high[step][i], low[step][i]);
      }
    }
  }

  uint32_t high[kSlopeSteps][4], low[kSlopeSteps][4];
};

// visit(i, sums): the slopes times values 8 * i .. 8 * i + 8 of the columns, for those of the first `left` values. The
// sums over one tile begin at zero: what tensor cores cut off a sum at every step stays that of a few steps.
template <bool all_products, int parts, class Visit>
__device__ __forceinline__ void for_each_gradient(const Shared<parts>& shared, const Lane& lane, const Slopes& slopes,
                                                  int64_t left, Visit&& visit) {
#pragma unroll
  for (int block = 0; block < kGradBlocks; block += 2) {
    if (8 * block >= left) break;
    float sums[2][4] = {};
#pragma unroll
    for (int step = 0; step < kSlopeSteps; ++step) {
      uint32_t columns[parts][4];
#pragma unroll
      for (int p = 0; p < parts; ++p) {
        arch::load_transposed_matrices(
            columns[p],
            &shared.columns[p][step * kDepth + lane.odd_matrix + lane.matrix_row][8 * block + lane.late_matrix]);
      }
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        if constexpr (parts == 2 && all_products) {
          arch::multiply_bf16(sums[i], slopes.low[step], columns[1][2 * i], columns[1][2 * i + 1]);
        }
        arch::multiply_bf16(sums[i], slopes.low[step], columns[0][2 * i], columns[0][2 * i + 1]);
        if constexpr (parts == 2) {
          arch::multiply_bf16(sums[i], slopes.high[step], columns[1][2 * i], columns[1][2 * i + 1]);
        }
        arch::multiply_bf16(sums[i], slopes.high[step], columns[0][2 * i], columns[0][2 * i + 1]);
      }
    }
    visit(block, sums[0]);
    visit(block + 1, sums[1]);
  }
}

}  // namespace
}  // namespace hashkernels::cuda
