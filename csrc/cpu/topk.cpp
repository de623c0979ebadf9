#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <limits>

#include "database.hpp"
#include "few_codes.hpp"
#include "scan.hpp"
#include "search_plan.hpp"
#include "selection.hpp"

namespace hashkernels {
namespace {

// Candidates kept at a time, all threads together: as few as fit memory that need not be fetched anew for every search,
// but enough queries to share what each block costs, if there is room.
constexpr int64_t kRoundBytes = 8 << 20, kMostRoundBytes = 256 << 20;

// The selections of one task, as TileScan's sink. Query q of the tile is selections[q * stride].
struct TopkSink {
  Selection* selections;
  int64_t stride;
  uint32_t first = 0;  // position within the part of the block at hand

  Selection& operator[](int64_t query) const { return selections[query * stride]; }
  bool take(uint32_t query, int position, int distance) const { return (*this)[query].add(first + position, distance); }
  int threshold(uint32_t query) const { return (*this)[query].threshold(); }
  void prefetch(uint32_t query, int distance) const { (*this)[query].prefetch(distance); }
};

// With no idea of what is near, the first blocks are all hits. A sample of the blocks gives one: as many codes as it
// should hold of the k nearest, and some more, mark a distance that the k-th nearest rarely exceeds. Where it does, the
// selection comes out incomplete and the query is scanned again without a guess.
struct Sample {
  static constexpr int64_t kMinBlocks = 256, kMinK = 50;
  int64_t num_blocks = 0, k = 0;

  Sample(int64_t blocks, int64_t wanted) {
    if (blocks < kMinBlocks || wanted < kMinK) return;
    // A larger sample guesses better and takes longer; this is near the least sum.
    const int64_t sampled = blocks / (wanted < 500 ? 48 : 20);
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
    const auto sampled = [&](int64_t i) {
      return first_block + (2 * i + 1) * (last_block - first_block) / (2 * sample.num_blocks);
    };
    if (sample.num_blocks > 0) {
      start_all(tile, sample.k, sampled(0));
      for (int64_t i = 0; i < sample.num_blocks && !tile.empty(); ++i) tile.scan(sampled(i), sink_);
      tile.clear();
      for (int64_t q = 0; q < num_queries_; ++q) start(tile, q, k_, sink_[q].threshold() + 1);
    } else {
      start_all(tile, k_, first_block);
    }
    const int64_t num_codes = scan(tile, first_block, last_block);
    tile.clear();
    for (int64_t q = 0; q < num_queries_; ++q) {
      if (!sink_[q].complete(num_codes)) start(tile, q, k_, kNoLimit);
    }
    scan(tile, first_block, last_block);
  }

 private:
  static constexpr int kNoLimit = std::numeric_limits<int>::max();

  void add(TileScan& tile, int64_t query, int threshold) {
    tile.add(static_cast<int>(query), queries_[first_query_ + query], threshold);
  }

  void start(TileScan& tile, int64_t query, int64_t k, int limit) {
    sink_[query].start(k, limit);
    add(tile, query, sink_[query].threshold());
  }

  // The k nearest of one block bound the k nearest of all.
  void start_all(TileScan& tile, int64_t k, int64_t block) {
    for (int64_t q = 0; q < num_queries_; ++q) add(tile, q, kNoLimit);
    tile.warm_up(block, k, [&](uint32_t query, int threshold) { sink_[query].start(k, threshold); });
  }

  // Returns how many codes may be found at all.
  int64_t scan(TileScan& tile, int64_t first_block, int64_t last_block) {
    int64_t num_codes = 0;
    for (int64_t block = first_block; block < last_block && !tile.empty() && !stop_at(block); ++block) {
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
// starts[d] is the rank of the next code at distance d, up to the distance of the k-th. Where selections dropped
// entries at that distance, too many came before.
void emit(const Selection* parts, int64_t num_parts, int64_t codes_per_part, int max_distance, int64_t k,
          int64_t* starts, int32_t* distances, int64_t* indices) {
  int64_t found = 0;
  int last = -1;
  while (last < max_distance && found < k) {
    starts[++last] = found;
    for (int64_t p = 0; p < num_parts; ++p) found += parts[p].count(last);
  }
  for (int64_t p = 0; p < num_parts; ++p) {
    for (const Selection::Entry& entry : parts[p]) {
      if (entry.distance > last) continue;
      const int64_t rank = starts[entry.distance]++;
      if (rank >= k) continue;
      distances[rank] = entry.distance;
      indices[rank] = p * codes_per_part + entry.index;
    }
  }
  for (int64_t rank = found; rank < k; ++rank) {
    distances[rank] = std::numeric_limits<int32_t>::max();
    indices[rank] = -1;
  }
}

// What the queries of a round select, each in each part of the database. Rounds share the memory.
class Selections {
 public:
  // False where there is no more memory.
  bool prepare(int64_t slots, int64_t capacity, int max_distance) {
    const int64_t num_counts = max_distance + 1;
    if (!make_room(selections_, slots) || !make_room(entries_, slots * capacity) ||
        !make_room(counts_, slots * num_counts)) {
      return false;
    }
    for (int64_t slot = 0; slot < slots; ++slot) {
      selections_.buffer[slot].init(max_distance, capacity, entries_.buffer.data() + slot * capacity,
                                    counts_.buffer.data() + slot * num_counts);
    }
    return true;
  }

  Selection* data() { return selections_.buffer.data(); }

 private:
  template <class T>
  struct Room {
    Buffer<T> buffer;
    int64_t size = -1;
  };

  template <class T>
  static bool make_room(Room<T>& room, int64_t size) {
    if (size <= room.size) return true;
    room.size = size;
    return room.buffer.allocate(size);
  }

  Room<Selection> selections_;
  Room<Selection::Entry> entries_;
  Room<uint32_t> counts_;
};

// The queries of one round, for which there is room.
Status search_round(const Codes& queries, const Database& database, int64_t k, Selections& selections,
                    int32_t* distances, int64_t* indices, int num_threads) {
  const Kernels& isa = kernels();
  const int max_distance = 8 * database.codes.num_bytes;
  const SearchPlan plan(queries.num_codes, database.codes.num_codes, num_threads);
  const ScanMethod method = database.scan_method(isa.scan_costs, plan);
  const int64_t codes_per_part = plan.blocks_per_part * kBlockCodes;
  const QueryWords query_words(queries);
  if (!query_words || !selections.prepare(queries.num_codes * plan.num_parts,
                                          Selection::capacity(k, plan.codes_per_task()), max_distance)) {
    return Status::kOutOfMemory;
  }

  std::atomic<bool> out_of_memory{false};
  const Status status = parallel_for(plan.num_tasks(), num_threads, [&](int64_t index, int) {
    const SearchPlan::Task task = plan.task(index);
    TileScan tile(isa, database, method, task.last_query - task.first_query);
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

// What the selections of so many queries take.
int64_t round_bytes(int64_t num_queries, const Codes& database, int64_t k, int num_threads) {
  const SearchPlan plan(num_queries, database.num_codes, num_threads);
  return num_queries * plan.num_parts *
         (int64_t{sizeof(Selection::Entry)} * Selection::capacity(k, plan.codes_per_task()) +
          4 * (8 * database.num_bytes + 1));
}

// How many queries go in a round. The last round may have fewer, and so be cut into more parts.
int64_t round_size(int64_t num_queries, const Codes& database, int64_t k, int num_threads) {
  const int64_t shared = SearchPlan::kMaxTile * std::max(num_threads, 1);
  int64_t rounds = 1;
  const auto size = [&] { return std::max<int64_t>(1, divide_up(num_queries, rounds)); };
  const auto bytes = [&] {
    const int64_t rest = num_queries % size();
    return std::max(round_bytes(size(), database, k, num_threads),
                    rest == 0 ? 0 : round_bytes(rest, database, k, num_threads));
  };
  while (size() > shared && bytes() > kRoundBytes) ++rounds;
  while (size() > 1 && bytes() > kMostRoundBytes) ++rounds;
  return size();
}

}  // namespace

Status topk(const Codes& queries, const Database& database, int64_t k, int32_t* distances, int64_t* indices,
            int num_threads) noexcept {
  if (is_of_few(database, queries.num_codes, num_threads)) {
    return topk_of_few(queries, database, k, distances, indices, num_threads);
  }
  const int64_t queries_per_round = round_size(queries.num_codes, database.codes, k, num_threads);
  Selections selections;
  for (int64_t first = 0; first < queries.num_codes; first += queries_per_round) {
    Codes some = queries;
    some.data = queries.row(first);
    some.num_codes = std::min(queries_per_round, queries.num_codes - first);
    const Status status =
        search_round(some, database, k, selections, distances + first * k, indices + first * k, num_threads);
    if (status != Status::kOk) return status;
  }
  return Status::kOk;
}

Status topk(const Codes& queries, const Codes& database, int64_t k, const uint8_t* allowed, int32_t* distances,
            int64_t* indices, int num_threads) noexcept {
  return topk(queries, Database(database, allowed), k, distances, indices, num_threads);
}

Status topk(const Codes& queries, const SlicedCodes& database, int64_t k, const uint8_t* allowed, int32_t* distances,
            int64_t* indices, int num_threads) noexcept {
  return topk(queries, Database(database, allowed), k, distances, indices, num_threads);
}

}  // namespace hashkernels
