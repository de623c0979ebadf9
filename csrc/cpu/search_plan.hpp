// How a search is cut into tasks: tiles of queries times parts of the database.
#pragma once

#include <algorithm>
#include <cstdint>

#include "blocks.hpp"
#include "scan_method.hpp"

namespace hashkernels {

inline int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

struct SearchPlan {
  static constexpr int64_t kMaxTile = 1024;         // queries that share a block while it is in the cache
  static constexpr int64_t kQueriesPerThread = 64;  // with fewer, threads share the database instead of the queries
  static constexpr int64_t kMaxPartBlocks = (int64_t{1} << 31) / kBlockCodes;  // positions in a part fit 32 bits

  int64_t num_queries, num_codes, num_blocks;
  int64_t queries_per_tile, num_tiles, blocks_per_part, num_parts;

  SearchPlan(int64_t queries, int64_t codes, int num_threads)
      : num_queries(queries), num_codes(codes), num_blocks(hashkernels::num_blocks(codes)) {
    const int64_t threads = std::max(num_threads, 1);
    const bool split_queries = queries >= kQueriesPerThread * threads;
    queries_per_tile = std::max<int64_t>(1, std::min(kMaxTile, split_queries ? divide_up(queries, threads) : queries));
    num_tiles = divide_up(queries, queries_per_tile);
    blocks_per_part =
        std::max<int64_t>(1, std::min(kMaxPartBlocks, split_queries ? num_blocks : divide_up(num_blocks, threads)));
    num_parts = divide_up(num_blocks, blocks_per_part);
  }

  ScanSize scan_size(bool sliced, int num_bytes) const {
    return {sliced, num_bytes, queries_per_tile, codes_per_task(), num_codes <= kBlockCodes};
  }

  int64_t codes_per_task() const { return std::min(num_codes, blocks_per_part * kBlockCodes); }

  // Task `index` of num_tasks().
  struct Task {
    int64_t tile, first_query, last_query;
    BlockRange blocks;

    int64_t num_queries() const { return last_query - first_query; }
  };
  int64_t num_tasks() const { return num_tiles * num_parts; }
  Task task(int64_t index) const {
    const int64_t part = index / num_tiles, tile = index % num_tiles;
    return {tile,
            tile * queries_per_tile,
            std::min((tile + 1) * queries_per_tile, num_queries),
            {part * blocks_per_part, std::min((part + 1) * blocks_per_part, num_blocks)}};
  }
};

}  // namespace hashkernels
