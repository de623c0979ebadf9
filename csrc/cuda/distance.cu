// The distance matrix, bound by population counts (16 a clock and SM) or by writing the matrix.
//
// A thread keeps four codes in registers while it walks the queries of its block, which all threads read from shared
// memory at the same address, 16 bytes at a time. Where rows of the matrix are aligned the codes are neighbours, whose
// distances go out as one vector; else they are 32 apart, so that a warp still writes whole lines. Codes wider than the
// registers are taken in slices, with the sums of a few queries in registers.
#include <cuda_runtime.h>

#include <algorithm>

#include "arch.cuh"
#include "hashkernels/cuda.h"
#include "launch.cuh"
#include "tuning.cuh"
#include "words.cuh"

namespace hashkernels::cuda {
namespace {

using Tuning = tuning::Distance;

constexpr int kCodes = Tuning::kCodesPerThread;

// Codes of any width come as slices of kSliceWords.
template <class Width>
constexpr bool kSliced = Width::words == 0;
template <class Width>
constexpr int kWords = kSliced<Width> ? Tuning::kSliceWords : Width::words;
template <class Width>
constexpr int kTile = kSliced<Width> ? Tuning::kBatch : Tuning::kQueryTile;

// The queries of a block, all slices of each.
template <class Width>
struct alignas(16) Shared {
  static constexpr int kSlices = kSliced<Width> ? kMaxBytes / 4 / kWords<Width> : 1;
  uint32_t words[kTile<Width> * kSlices * kWords<Width>];
};

// Words of a code from `first_word` on, zero past its end.
template <class Width>
__device__ __forceinline__ void load_slice(const Codes& codes, int64_t index, int first_word,
                                           uint32_t (&out)[kWords<Width>]) {
  const uint8_t* const code = codes.data + index * codes.stride;
  if constexpr (kSliced<Width>) {
#pragma unroll
    for (int w = 0; w < kWords<Width>; ++w) out[w] = load_word(code, codes.num_bytes, first_word + w);
  } else {
    load_words<Width>(code, codes.num_bytes, out);
  }
}

template <class T>
constexpr size_t kVectorBytes = kCodes * sizeof(T);

template <class T>
__device__ __forceinline__ void store_vector(T* out, const int (&values)[kCodes]) {
  uint32_t words[kVectorBytes<T> / 4] = {};
#pragma unroll
  for (int c = 0; c < kCodes; ++c) {
    words[c * sizeof(T) / 4] |= static_cast<uint32_t>(values[c]) << (8 * (c * sizeof(T) % 4));
  }
  // By name, for the compiler takes an assignment apart; and what is written is not read again here.
  if constexpr (sizeof(T) == 1) {
    __stcs(reinterpret_cast<uint32_t*>(out), words[0]);
  } else if constexpr (sizeof(T) == 2) {
    __stcs(reinterpret_cast<uint2*>(out), uint2{words[0], words[1]});
  } else {
    __stcs(reinterpret_cast<uint4*>(out), uint4{words[0], words[1], words[2], words[3]});
  }
}

template <class Width, class T>
__global__ void __launch_bounds__(Tuning::kThreads, Tuning::kBlocks)
    hamming_distance_kernel(const Codes queries, const Codes database, bool vectors, T* __restrict__ out) {
  constexpr int kW = kWords<Width>;
  Shared<Width>& shared = arch::shared_object<Shared<Width>>();
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int64_t warp_first =
      static_cast<int64_t>(blockIdx.x) * Tuning::kThreads * kCodes + (threadIdx.x - lane) * kCodes;
  const int64_t first = warp_first + lane * (vectors ? kCodes : 1);
  const int apart = vectors ? 1 : 32;
  const int slices = kSliced<Width> ? (queries.num_bytes + 4 * kW - 1) / (4 * kW) : 1;

  uint32_t codes[kCodes][kW];
  const auto load_codes = [&](int slice) {
#pragma unroll
    for (int c = 0; c < kCodes; ++c) {
      load_slice<Width>(database, min(first + c * apart, database.num_codes - 1), slice * kW, codes[c]);
    }
  };
  if constexpr (!kSliced<Width>) load_codes(0);

  for (int64_t tile = static_cast<int64_t>(blockIdx.y) * kTile<Width>; tile < queries.num_codes;
       tile += static_cast<int64_t>(gridDim.y) * kTile<Width>) {
    const int rows = static_cast<int>(min(queries.num_codes - tile, static_cast<int64_t>(kTile<Width>)));
    __syncthreads();  // the tile before has been read
    for (int i = static_cast<int>(threadIdx.x); i < kTile<Width> * slices; i += Tuning::kThreads) {
      uint32_t words[kW];
      load_slice<Width>(queries, min(tile + i / slices, queries.num_codes - 1), i % slices * kW, words);
#pragma unroll
      for (int w = 0; w < kW; ++w) shared.words[i * kW + w] = words[w];
    }
    __syncthreads();  // the tile is there
    if (warp_first >= database.num_codes) continue;
    for (int batch = 0; batch < rows; batch += Tuning::kBatch) {
      int distances[Tuning::kBatch][kCodes] = {};
      for (int slice = 0; slice < slices; ++slice) {
        if constexpr (kSliced<Width>) load_codes(slice);
#pragma unroll
        for (int q = 0; q < Tuning::kBatch; ++q) {
          const uint32_t* const query = shared.words + ((batch + q) * slices + slice) * kW;
#pragma unroll
          for (int w = 0; w < kW; ++w) {
#pragma unroll
            for (int c = 0; c < kCodes; ++c) distances[q][c] += __popc(query[w] ^ codes[c][w]);
          }
        }
      }
      T* row = out + (tile + batch) * database.num_codes + first;
#pragma unroll
      for (int q = 0; q < Tuning::kBatch; ++q, row += database.num_codes) {
        const bool inside = batch + q < rows;
        if (vectors) {
          if (inside && first < database.num_codes) store_vector(row, distances[q]);
        } else {
#pragma unroll
          for (int c = 0; c < kCodes; ++c) {
            if (inside && first + 32 * c < database.num_codes) row[32 * c] = static_cast<T>(distances[q][c]);
          }
        }
      }
    }
  }
}

}  // namespace

template <class T>
Status hamming_distance(const Codes& queries, const Codes& database, T* out, int device, void* stream) noexcept {
  if (queries.num_codes == 0 || database.num_codes == 0) return Status::kOk;
  const DeviceGuard guard(device);
  if (guard.error() != cudaSuccess) return report("hamming_distance", guard.error());
  const bool vectors = database.num_codes % kCodes == 0 && reinterpret_cast<uintptr_t>(out) % kVectorBytes<T> == 0;
  return report("hamming_distance", by_width(queries, database, [&](auto width) {
                  using Words = decltype(width);
                  const int64_t columns = divide_up(database.num_codes, Tuning::kThreads * kCodes);
                  const int64_t rows = std::min(divide_up(queries.num_codes, kTile<Words>), Tuning::kMaxTiles);
                  const dim3 grid(static_cast<unsigned>(columns), static_cast<unsigned>(rows));
                  return launch(hamming_distance_kernel<Words, T>, grid, Tuning::kThreads, 0, stream, queries, database,
                                vectors, out);
                }));
}

template Status hamming_distance<uint8_t>(const Codes&, const Codes&, uint8_t*, int, void*) noexcept;
template Status hamming_distance<int16_t>(const Codes&, const Codes&, int16_t*, int, void*) noexcept;
template Status hamming_distance<int32_t>(const Codes&, const Codes&, int32_t*, int, void*) noexcept;

}  // namespace hashkernels::cuda
