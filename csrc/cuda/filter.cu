// Codes nearer than a limit, by population counts: 16 a clock and SM bound it where there are queries enough, else the
// memory that the database is read from. A thread holds a few codes and compares them with a tile of queries that all
// threads of the block read at once.
#include <cuda_runtime.h>

#include <algorithm>

#include "arch.cuh"
#include "candidates.cuh"
#include "tuning.cuh"
#include "words.cuh"

namespace hashkernels::cuda {
namespace {

using Tuning = tuning::Filtering;

constexpr int kThreads = Tuning::kThreads;
constexpr int kTile = Tuning::kQueryTile;

// The queries and rows of this block. Neighbouring blocks have the same rows.
struct Share {
  __device__ Share(const Filter& filter, int query_tile, int64_t rows_per_block) {
    const int64_t tiles = (filter.queries.num_codes + query_tile - 1) / query_tile;
    const int64_t part = blockIdx.x / tiles;
    first_query = (blockIdx.x - part * tiles) * query_tile;
    first = filter.first + part * rows_per_block;
    last = min(first + rows_per_block, filter.last);
  }

  int64_t first_query;
  int64_t first, last;
};

template <int words_>
struct alignas(16) TileQuery {
  uint32_t words[words_];
  int32_t limit;
};

template <int words>
struct Tile {
  TileQuery<words> queries[kTile];
};

template <class Width>
__global__ void __launch_bounds__(kThreads, 2) filter_kernel(const Filter filter, int64_t rows_per_block) {
  constexpr int kWords = Width::words;
  constexpr int kCodes = kWords <= 2 ? 8 : 4;
  Tile<kWords>& tile = arch::shared_object<Tile<kWords>>();
  const Share share(filter, kTile, rows_per_block);
  const int64_t first_query = share.first_query;
  const int tile_queries = static_cast<int>(min(int64_t{kTile}, filter.queries.num_codes - first_query));
  static_assert(kTile <= kThreads, "a thread brings a query");
  if (static_cast<int>(threadIdx.x) < tile_queries) {
    const int64_t own = first_query + threadIdx.x;
    TileQuery<kWords>& query = tile.queries[threadIdx.x];
    load_words<Width>(filter.queries.data + own * filter.queries.stride, filter.queries.num_bytes, query.words);
    query.limit = filter.found.limits[own];
  }
  __syncthreads();  // the tile is there

  for (int64_t first = share.first + threadIdx.x; first - threadIdx.x < share.last; first += kCodes * kThreads) {
    uint32_t codes[kCodes][kWords] = {};
#pragma unroll
    for (int c = 0; c < kCodes; ++c) {
      const int64_t row = first + c * kThreads;
      if (row < share.last) {
        load_words<Width>(filter.database.data + row * filter.database.stride, filter.database.num_bytes, codes[c]);
      }
    }
#pragma unroll 1
    for (int q = 0; q < tile_queries; ++q) {
      const TileQuery<kWords> query = tile.queries[q];
      int distances[kCodes];
      bool any = false;
#pragma unroll
      for (int c = 0; c < kCodes; ++c) {
        distances[c] = 0;
#pragma unroll
        for (int w = 0; w < kWords; ++w) distances[c] += __popc(query.words[w] ^ codes[c][w]);
        any |= distances[c] < query.limit;
      }
      if (!any) continue;
      // A byte a distance and a bit a code, for a loop in place of as many branches.
      uint64_t near_distances = 0;
      uint32_t near = 0;
#pragma unroll
      for (int c = 0; c < kCodes; ++c) {
        near_distances |= static_cast<uint64_t>(distances[c]) << (8 * c);
        near |= distances[c] < query.limit ? 1u << c : 0;
      }
#pragma unroll 1
      for (; near != 0; near &= near - 1) {
        const int c = __ffs(near) - 1;
        const int64_t row = first + c * kThreads;
        if (row >= share.last || !filter.finds(row)) continue;
        const int distance = static_cast<int>(near_distances >> (8 * c) & 0xFF);
        filter.found.append(first_query + q, candidate_key(distance, row));
      }
    }
  }
}

// Words put together from bytes take the registers of half a tile.
template <bool whole>
constexpr int kWideTile = whole ? Tuning::kWideQueryTile : Tuning::kWideQueryTile / 2;
constexpr int kStepWords = 4;

// Codes of any width, a few words at a time: a thread holds the distances of one code. Shared memory has, word by word
// in steps, what the queries of the tile have.
template <bool whole>
__global__ void __launch_bounds__(kThreads) wide_filter_kernel(const Filter filter, int64_t rows_per_block) {
  constexpr int kTileQueries = kWideTile<whole>;
  const int num_bytes = filter.queries.num_bytes;
  const int num_steps = (num_bytes + 4 * kStepWords - 1) / (4 * kStepWords);
  uint4* const tile = arch::dynamic_shared<uint4>();  // [step][query]
  const int64_t num_queries = filter.queries.num_codes;
  const Share share(filter, kTileQueries, rows_per_block);
#pragma unroll 1
  for (int i = threadIdx.x; i < num_steps * kTileQueries; i += kThreads) {
    const int step = i / kTileQueries;
    const int64_t query = min(share.first_query + i % kTileQueries, num_queries - 1);
    uint32_t words[kStepWords];
    load_words<Width<kStepWords, false>>(filter.queries.data + query * filter.queries.stride + 16 * step,
                                         num_bytes - 16 * step, words);
    tile[i] = uint4{words[0], words[1], words[2], words[3]};
  }
  __syncthreads();  // the tile is there

#pragma unroll 1
  for (int64_t row = share.first + threadIdx.x; row < share.last; row += kThreads) {
    const uint8_t* const code = filter.database.data + row * filter.database.stride;
    int distances[kTileQueries] = {};
#pragma unroll 1
    for (int step = 0; step < num_steps; ++step) {
      uint32_t words[kStepWords];
      load_words<Width<kStepWords, whole>>(code + 16 * step, num_bytes - 16 * step, words);
#pragma unroll
      for (int q = 0; q < kTileQueries; ++q) {
        const uint4 query = tile[step * kTileQueries + q];
        distances[q] += __popc(words[0] ^ query.x) + __popc(words[1] ^ query.y) + __popc(words[2] ^ query.z) +
                        __popc(words[3] ^ query.w);
      }
    }
    uint32_t near = 0;  // a bit a query
#pragma unroll
    for (int q = 0; q < kTileQueries; ++q) {
      const int64_t query = min(share.first_query + q, num_queries - 1);
      near |= distances[q] < filter.found.limits[query] ? 1u << q : 0;
    }
#pragma unroll 1
    for (; near != 0; near &= near - 1) {
      const int64_t query = share.first_query + __ffs(near) - 1;
      if (query >= num_queries || !filter.finds(row)) continue;
      const int distance = Query<Width<0, false>>(filter.queries, query).distance(code);
      filter.found.append(query, candidate_key(distance, row));
    }
  }
}

struct Plan {
  dim3 grid;
  int64_t rows_per_block;
};

// Blocks of whole steps of `step` rows, enough to keep the device busy.
Plan plan(const Filter& filter, int query_tile, int64_t step) {
  const int64_t tiles = divide_up(filter.queries.num_codes, query_tile);
  const int64_t rows = filter.last - filter.first;
  const int64_t parts = std::max<int64_t>(Tuning::kTargetBlocks / tiles, 1);
  const int64_t rows_per_block = divide_up(divide_up(rows, parts), step) * step;
  return {dim3(static_cast<unsigned>(tiles * divide_up(rows, rows_per_block))), rows_per_block};
}

}  // namespace

cudaError_t filter(const Filter& filter, void* stream) noexcept {
  const auto narrow = [&](auto width) {
    const Plan blocks = plan(filter, kTile, kThreads * (decltype(width)::words <= 2 ? 8 : 4));
    return launch(filter_kernel<decltype(width)>, blocks.grid, kThreads, 0, stream, filter, blocks.rows_per_block);
  };
  const Codes &queries = filter.queries, &database = filter.database;
  if (queries.num_bytes <= 4) return by_alignment<1>(queries, database, narrow);
  if (queries.num_bytes <= 8) return by_alignment<2>(queries, database, narrow);
  if (queries.num_bytes <= 16) return by_alignment<4>(queries, database, narrow);
  const auto wide = [&](auto kernel, int tile) {
    const Plan blocks = plan(filter, tile, kThreads);
    const size_t shared_bytes = divide_up(queries.num_bytes, 16) * 16 * tile;
    return launch(kernel, blocks.grid, kThreads, shared_bytes, stream, filter, blocks.rows_per_block);
  };
  const bool whole =
      database.num_bytes % 16 == 0 && database.stride % 16 == 0 && reinterpret_cast<uintptr_t>(database.data) % 16 == 0;
  return whole ? wide(wide_filter_kernel<true>, kWideTile<true>) : wide(wide_filter_kernel<false>, kWideTile<false>);
}

}  // namespace hashkernels::cuda
