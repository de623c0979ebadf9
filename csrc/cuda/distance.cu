// The distance matrix, bound by population counts (16 a clock and SM) up to about 64 bits and by writing the matrix
// below that.
//
// A block of threads keeps a step of 32-bit words of its queries and codes in shared memory. A warp owns eight queries,
// a lane four codes 32 apart: query words are broadcasts, code words lie in 32 different banks, and a row of the result
// is written in whole lines.
#include <cuda_runtime.h>

#include <algorithm>

#include "arch.cuh"
#include "hashkernels/cuda.h"
#include "launch.cuh"
#include "tuning.cuh"
#include "words.cuh"

namespace hashkernels::cuda {
namespace {

using Tile = tuning::Distance;

// Words first_word .. first_word + kWordsPerStep of `rows` codes from `first`, word by word; codes and words past the
// end are zero.
template <int rows>
__device__ __forceinline__ void load_tile(const Codes& codes, int64_t first, int first_word, uint32_t* tile) {
  for (int i = threadIdx.x; i < rows * Tile::kWordsPerStep; i += 32 * Tile::kWarps) {
    const int row = i / Tile::kWordsPerStep;
    const int word = i % Tile::kWordsPerStep;
    const bool inside = first + row < codes.num_codes && 4 * (first_word + word) < codes.num_bytes;
    tile[word * (rows + 1) + row] =
        inside ? load_word(codes.data + (first + row) * codes.stride, codes.num_bytes, first_word + word) : 0;
  }
}

// One more column than rows: threads that store neighbouring words of one code hit different banks.
struct Shared {
  uint32_t query_words[Tile::kWordsPerStep * (Tile::kQueryTile + 1)];
  uint32_t code_words[Tile::kWordsPerStep * (Tile::kDatabaseTile + 1)];
};

template <class T>
__global__ void __launch_bounds__(32 * Tile::kWarps)
    hamming_distance_kernel(const Codes queries, const Codes database, T* __restrict__ out) {
  Shared& shared = arch::shared_object<Shared>();
  const int lane = threadIdx.x % 32;
  const int warp = threadIdx.x / 32;
  const int num_words = (queries.num_bytes + 3) / 4;
  const int64_t first_code = static_cast<int64_t>(blockIdx.x) * Tile::kDatabaseTile;
  const int64_t query_step = static_cast<int64_t>(gridDim.y) * Tile::kQueryTile;

  for (int64_t first_query = static_cast<int64_t>(blockIdx.y) * Tile::kQueryTile; first_query < queries.num_codes;
       first_query += query_step) {
    int distance[Tile::kQueriesPerThread][Tile::kCodesPerThread] = {};
    for (int first_word = 0; first_word < num_words; first_word += Tile::kWordsPerStep) {
      __syncthreads();  // the step before has been read
      load_tile<Tile::kQueryTile>(queries, first_query, first_word, shared.query_words);
      load_tile<Tile::kDatabaseTile>(database, first_code, first_word, shared.code_words);
      __syncthreads();
      const int words = min(Tile::kWordsPerStep, num_words - first_word);
      for (int word = 0; word < words; ++word) {
        uint32_t code[Tile::kCodesPerThread];
#pragma unroll
        for (int c = 0; c < Tile::kCodesPerThread; ++c) {
          code[c] = shared.code_words[word * (Tile::kDatabaseTile + 1) + lane + 32 * c];
        }
#pragma unroll
        for (int q = 0; q < Tile::kQueriesPerThread; ++q) {
          const uint32_t query = shared.query_words[word * (Tile::kQueryTile + 1) + warp * Tile::kQueriesPerThread + q];
#pragma unroll
          for (int c = 0; c < Tile::kCodesPerThread; ++c) distance[q][c] += __popc(query ^ code[c]);
        }
      }
    }
#pragma unroll
    for (int q = 0; q < Tile::kQueriesPerThread; ++q) {
      const int64_t query = first_query + warp * Tile::kQueriesPerThread + q;
      if (query >= queries.num_codes) break;
#pragma unroll
      for (int c = 0; c < Tile::kCodesPerThread; ++c) {
        const int64_t code = first_code + lane + 32 * c;
        if (code < database.num_codes) out[query * database.num_codes + code] = static_cast<T>(distance[q][c]);
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
  const int64_t columns = divide_up(database.num_codes, Tile::kDatabaseTile);
  const int64_t rows = std::min(divide_up(queries.num_codes, Tile::kQueryTile), kMaxGridY);
  const dim3 grid(static_cast<unsigned>(columns), static_cast<unsigned>(rows));
  return report("hamming_distance",
                launch(hamming_distance_kernel<T>, grid, 32 * Tile::kWarps, 0, stream, queries, database, out));
}

template Status hamming_distance<uint8_t>(const Codes&, const Codes&, uint8_t*, int, void*) noexcept;
template Status hamming_distance<int16_t>(const Codes&, const Codes&, int16_t*, int, void*) noexcept;
template Status hamming_distance<int32_t>(const Codes&, const Codes&, int32_t*, int, void*) noexcept;

}  // namespace hashkernels::cuda
