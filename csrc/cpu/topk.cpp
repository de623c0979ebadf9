#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>

#include "hashkernels/search.h"
#include "scan.hpp"
#include "selection.hpp"

namespace hashkernels {
namespace {

constexpr int64_t kTile = 1024;             // queries that share a block while it is in the cache
constexpr int64_t kQueriesPerThread = 32;   // with fewer, threads share the database instead of the queries
constexpr int64_t kRoundBytes = 256 << 20;  // candidates kept at a time, all threads together
constexpr int64_t kMaxPartBlocks = (int64_t{1} << 31) / kBlockCodes;  // positions within a part fit 32 bits

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// How one call is cut: rounds of queries bound the memory, a round's tasks are (tile of queries) x (part of the
// database).
struct Cut {
  int64_t blocks_per_part, num_parts, capacity, queries_per_round, queries_per_tile;
};

Cut cut(int64_t num_queries, const Codes& database, int64_t k, int num_threads) {
  Cut result;
  const int64_t blocks = num_blocks(database.num_codes), threads = std::max(num_threads, 1);
  const int64_t wanted = num_queries >= kQueriesPerThread * threads ? 1 : threads;
  result.blocks_per_part = std::min(divide_up(blocks, wanted), kMaxPartBlocks);
  result.num_parts = divide_up(blocks, result.blocks_per_part);
  result.capacity = Selection::capacity(k, std::min(database.num_codes, result.blocks_per_part * kBlockCodes));
  const int64_t bytes_per_query =
      result.num_parts * (6 * result.capacity + 4 * (8 * database.num_bytes + 1) + sizeof(Selection));
  result.queries_per_round = std::clamp<int64_t>(kRoundBytes / bytes_per_query, 1, num_queries);
  const int64_t tiles = result.num_parts > 1 ? 1 : threads;
  result.queries_per_tile = std::min(kTile, divide_up(result.queries_per_round, tiles));
  return result;
}

// Merges the selections of all parts of one query, part after part, into rows ordered by (distance, index).
void emit(Selection* parts, int64_t num_parts, int64_t codes_per_part, int max_distance, int64_t k, int64_t* starts,
          int32_t* distances, int64_t* indices) {
  std::fill(starts, starts + max_distance + 2, 0);
  int64_t found = 0;
  for (int64_t p = 0; p < num_parts; ++p) {
    parts[p].compact();
    for (int64_t i = 0; i < parts[p].size(); ++i) ++starts[parts[p].distance(i) + 1];
    found += parts[p].size();
  }
  for (int d = 0; d <= max_distance; ++d) starts[d + 1] += starts[d];
  for (int64_t p = 0; p < num_parts; ++p) {
    for (int64_t i = 0; i < parts[p].size(); ++i) {
      const int distance = parts[p].distance(i);
      const int64_t rank = starts[distance]++;
      if (rank >= k) continue;
      distances[rank] = distance;
      indices[rank] = p * codes_per_part + parts[p].index(i);
    }
  }
  for (int64_t rank = found; rank < k; ++rank) {
    distances[rank] = std::numeric_limits<int32_t>::max();
    indices[rank] = -1;
  }
}

}  // namespace

Status topk(const Codes& queries, const Codes& database, int64_t k, const uint8_t* allowed, int32_t* distances,
            int64_t* indices, int num_threads) noexcept {
  if (queries.num_codes == 0) return Status::kOk;
  const Kernels& isa = kernels();
  const int num_words = words_per_code(database.num_bytes), max_distance = 8 * database.num_bytes;
  const int64_t blocks = num_blocks(database.num_codes);
  const Cut plan = cut(queries.num_codes, database, k, num_threads);
  const int64_t slots = plan.queries_per_round * plan.num_parts;
  const QueryWords query_words(queries);
  Buffer<Selection> selections(slots);
  Buffer<uint32_t> entry_indices(slots * plan.capacity), counts(slots * (max_distance + 1));
  Buffer<uint16_t> entry_distances(slots * plan.capacity);
  if (!query_words || !selections || !entry_indices || !counts || !entry_distances) return Status::kOutOfMemory;

  for (int64_t round = 0; round < queries.num_codes; round += plan.queries_per_round) {
    const int64_t round_queries = std::min(plan.queries_per_round, queries.num_codes - round);
    const int64_t num_tiles = divide_up(round_queries, plan.queries_per_tile);
    std::atomic<bool> out_of_memory{false};
    Status status = parallel_for(num_tiles * plan.num_parts, num_threads, [&](int64_t task, int) {
      const int64_t part = task / num_tiles, first_query = task % num_tiles * plan.queries_per_tile;
      const int64_t last_query = std::min(first_query + plan.queries_per_tile, round_queries);
      const int64_t first_block = part * plan.blocks_per_part;
      const int64_t last_block = std::min(first_block + plan.blocks_per_part, blocks);
      BlockReader block(database, allowed);
      if (!block) {
        out_of_memory.store(true, std::memory_order_relaxed);
        return;
      }
      for (int64_t q = first_query; q < last_query; ++q) {
        const int64_t slot = q * plan.num_parts + part;
        selections[slot].init(k, max_distance, plan.capacity, entry_indices.data() + slot * plan.capacity,
                              entry_distances.data() + slot * plan.capacity,
                              counts.data() + slot * (max_distance + 1));
      }
      for (int64_t b = first_block; b < last_block; ++b) {
        if (!block.load(b)) continue;
        const uint32_t base = static_cast<uint32_t>((b - first_block) * kBlockCodes);
        for (int64_t q = first_query; q < last_query; ++q) {
          Selection& selection = selections[q * plan.num_parts + part];
          if (selection.threshold() == 0) continue;
          scan_block(isa, query_words[round + q], block, num_words, selection.threshold(),
                     [&](int position, int distance) {
                       selection.add(base + position, distance);
                       return selection.threshold();
                     });
        }
      }
    });
    if (status != Status::kOk) return status;
    if (out_of_memory.load(std::memory_order_relaxed)) return Status::kOutOfMemory;

    constexpr int64_t kEmitTask = 16;
    status = parallel_for(divide_up(round_queries, kEmitTask), num_threads, [&](int64_t task, int) {
      int64_t starts[kMaxBits + 2];
      for (int64_t q = task * kEmitTask; q < std::min((task + 1) * kEmitTask, round_queries); ++q) {
        emit(selections.data() + q * plan.num_parts, plan.num_parts, plan.blocks_per_part * kBlockCodes, max_distance,
             k, starts, distances + (round + q) * k, indices + (round + q) * k);
      }
    });
    if (status != Status::kOk) return status;
  }
  return Status::kOk;
}

}  // namespace hashkernels
