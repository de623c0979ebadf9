#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <limits>

#include "hashkernels/search.h"
#include "scan.hpp"
#include "search_plan.hpp"
#include "selection.hpp"

namespace hashkernels {
namespace {

constexpr int64_t kRoundBytes = 256 << 20;  // candidates kept at a time, all threads together

// The selections of one task, as TileScan's sink. Query q of the tile is selections[q * stride].
struct TopkSink {
  Selection* selections;
  int64_t stride;
  uint32_t first = 0;  // position within the part of the block at hand

  Selection& operator[](int64_t query) const { return selections[query * stride]; }
  void take(uint32_t query, int position, int distance) const {
    Selection& selection = (*this)[query];
    if (distance < selection.threshold()) selection.add(first + position, distance);
  }
  int threshold(uint32_t query) const { return (*this)[query].threshold(); }
};

// With no idea of what is near, the first blocks are all hits. A sample of the blocks gives one: as many codes as it
// should hold of the k nearest, and some more, mark a distance that the k-th nearest rarely exceeds. Where it does, the
// selection comes out incomplete and the query is scanned again without a guess.
struct Sample {
  static constexpr int64_t kMinBlocks = 256, kMinK = 50, kShare = 64;
  int64_t num_blocks = 0, k = 0;

  Sample(int64_t blocks, int64_t wanted) {
    if (blocks < kMinBlocks || wanted < kMinK) return;
    const int64_t sampled = std::max<int64_t>(8, blocks / kShare);
    const double expected = static_cast<double>(wanted) * static_cast<double>(sampled) / static_cast<double>(blocks);
    const int64_t enough = static_cast<int64_t>(expected + 3 * std::sqrt(expected) + 2.5);
    if (enough > wanted / 2) return;
    num_blocks = sampled;
    k = enough;
  }
};

// One task: a tile of queries over the blocks of one part.
class TopkTask {
 public:
  TopkTask(const QueryWords& queries, int64_t first_query, int64_t num_queries, int64_t k, TopkSink sink)
      : queries_(queries), first_query_(first_query), num_queries_(num_queries), k_(k), sink_(sink) {}

  void run(TileScan& tile, int64_t first_block, int64_t last_block) {
    const Sample sample(last_block - first_block, k_);
    const int no_limit = std::numeric_limits<int>::max();
    if (sample.num_blocks > 0) {
      start_all(tile, sample.k, no_limit);
      for (int64_t i = 0; i < sample.num_blocks && !tile.empty(); ++i) {
        tile.scan(first_block + (2 * i + 1) * (last_block - first_block) / (2 * sample.num_blocks), sink_);
      }
    }
    tile.clear();
    for (int64_t q = 0; q < num_queries_; ++q) {
      start(tile, q, k_, sample.num_blocks > 0 ? sink_[q].threshold() + 1 : no_limit);
    }
    const int64_t num_codes = scan(tile, first_block, last_block);
    tile.clear();
    for (int64_t q = 0; q < num_queries_; ++q) {
      if (!sink_[q].complete(num_codes)) start(tile, q, k_, no_limit);
    }
    scan(tile, first_block, last_block);
  }

 private:
  void start(TileScan& tile, int64_t query, int64_t k, int limit) {
    sink_[query].start(k, limit);
    tile.add(static_cast<int>(query), queries_[first_query_ + query], sink_[query].threshold());
  }

  void start_all(TileScan& tile, int64_t k, int limit) {
    for (int64_t q = 0; q < num_queries_; ++q) start(tile, q, k, limit);
  }

  // Returns how many codes may be found at all.
  int64_t scan(TileScan& tile, int64_t first_block, int64_t last_block) {
    int64_t num_codes = 0;
    for (int64_t block = first_block; block < last_block && !tile.empty(); ++block) {
      sink_.first = static_cast<uint32_t>((block - first_block) * kBlockCodes);
      num_codes += tile.scan(block, sink_);
    }
    return num_codes;
  }

  const QueryWords& queries_;
  int64_t first_query_, num_queries_, k_;
  TopkSink sink_;
};

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

// The queries of one round, for which there is memory at a time.
Status search_round(const Codes& queries, const Database& database, int64_t k, int32_t* distances, int64_t* indices,
                    int num_threads) {
  const Kernels& isa = kernels();
  const int max_distance = 8 * database.codes.num_bytes;
  const SearchPlan plan(queries.num_codes, database.codes.num_codes, num_threads);
  const int64_t codes_per_part = plan.blocks_per_part * kBlockCodes;
  const int64_t capacity = Selection::capacity(k, std::min(database.codes.num_codes, codes_per_part));
  const int64_t slots = queries.num_codes * plan.num_parts;
  const QueryWords query_words(queries);
  Buffer<Selection> selections(slots);
  Buffer<uint32_t> entry_indices(slots * capacity), counts(slots * (max_distance + 1));
  Buffer<uint16_t> entry_distances(slots * capacity);
  if (!query_words || !selections || !entry_indices || !counts || !entry_distances) return Status::kOutOfMemory;
  for (int64_t slot = 0; slot < slots; ++slot) {
    selections[slot].init(k, max_distance, capacity, entry_indices.data() + slot * capacity,
                          entry_distances.data() + slot * capacity, counts.data() + slot * (max_distance + 1));
  }

  std::atomic<bool> out_of_memory{false};
  const Status status = parallel_for(plan.num_tasks(), num_threads, [&](int64_t index, int) {
    const SearchPlan::Task task = plan.task(index);
    TileScan tile(isa, database, task.last_query - task.first_query);
    if (!tile) {
      out_of_memory.store(true, std::memory_order_relaxed);
      return;
    }
    const TopkSink sink{selections.data() + task.first_query * plan.num_parts + task.part, plan.num_parts};
    TopkTask(query_words, task.first_query, task.last_query - task.first_query, k, sink)
        .run(tile, task.first_block, task.last_block);
  });
  if (status != Status::kOk) return status;
  if (out_of_memory.load(std::memory_order_relaxed)) return Status::kOutOfMemory;

  constexpr int64_t kEmitTask = 16;
  return parallel_for(divide_up(queries.num_codes, kEmitTask), num_threads, [&](int64_t task, int) {
    int64_t starts[kMaxBits + 2];
    for (int64_t q = task * kEmitTask; q < std::min((task + 1) * kEmitTask, queries.num_codes); ++q) {
      emit(selections.data() + q * plan.num_parts, plan.num_parts, codes_per_part, max_distance, k, starts,
           distances + q * k, indices + q * k);
    }
  });
}

Status search(const Codes& queries, const Database& database, int64_t k, int32_t* distances, int64_t* indices,
              int num_threads) {
  const SearchPlan plan(queries.num_codes, database.codes.num_codes, num_threads);
  const int64_t capacity = Selection::capacity(k, std::min(database.codes.num_codes, plan.blocks_per_part * kBlockCodes));
  const int64_t bytes_per_query =
      plan.num_parts * (6 * capacity + 4 * (8 * database.codes.num_bytes + 1) + int64_t{sizeof(Selection)});
  const int64_t queries_per_round = std::max<int64_t>(1, kRoundBytes / bytes_per_query);
  for (int64_t first = 0; first < queries.num_codes; first += queries_per_round) {
    Codes round = queries;
    round.data = queries.row(first);
    round.num_codes = std::min(queries_per_round, queries.num_codes - first);
    const Status status = search_round(round, database, k, distances + first * k, indices + first * k, num_threads);
    if (status != Status::kOk) return status;
  }
  return Status::kOk;
}

}  // namespace

Status topk(const Codes& queries, const Codes& database, int64_t k, const uint8_t* allowed, int32_t* distances,
            int64_t* indices, int num_threads) noexcept {
  return search(queries, {database, nullptr, allowed}, k, distances, indices, num_threads);
}

}  // namespace hashkernels
