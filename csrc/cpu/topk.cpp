#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "database.hpp"
#include "few_codes.hpp"
#include "query_groups.hpp"
#include "scan.hpp"
#include "search_plan.hpp"
#include "selection.hpp"
#include "tile_parts.hpp"

namespace hashkernels {
namespace {

constexpr int kNoLimit = std::numeric_limits<int>::max();

// Candidates kept at a time, all threads together: as few as fit memory that need not be fetched anew for every search,
// but enough queries to share what each block costs, if there is room.
constexpr int64_t kRoundBytes = 8 << 20, kMostRoundBytes = 256 << 20;

// What a walk selects for the queries of a tile, as TileScan's sink.
class TopkPart {
 public:
  const int64_t tile, first_block;

  TopkPart(int64_t own_tile, int64_t own_first_block, int64_t num_queries, int64_t capacity, int max_distance)
      : tile(own_tile),
        first_block(own_first_block),
        selections_(num_queries),
        entries_(num_queries * capacity),
        counts_(num_queries * (max_distance + 1)) {
    if (!selections_ || !entries_ || !counts_) throw std::bad_alloc();
    for (int64_t q = 0; q < num_queries; ++q) {
      selections_[q].init(max_distance, capacity, entries_.data() + q * capacity,
                          counts_.data() + q * (max_distance + 1));
    }
  }

  Selection& operator[](int64_t query) { return selections_[query]; }
  const Selection& operator[](int64_t query) const { return selections_[query]; }

  // Of the block that is scanned next.
  void set_block(int64_t block) { first_position_ = static_cast<uint32_t>((block - first_block) * kBlockCodes); }
  bool take(uint32_t query, int position, int distance) {
    return selections_[query].add(first_position_ + position, distance);
  }
  int threshold(uint32_t query) const { return selections_[query].threshold(); }
  void prefetch(uint32_t query, int distance) const { selections_[query].prefetch(distance); }

 private:
  Buffer<Selection> selections_;
  Buffer<Selection::Entry> entries_;
  Buffer<uint32_t> counts_;
  uint32_t first_position_ = 0;
};

// With no idea of what is near, the first blocks are all hits. A sample of the blocks gives one: as many codes as it
// should hold of the k nearest, and some more, mark a distance that the k-th nearest rarely exceeds. Where it does, too
// few codes are selected and the query is searched again without a guess.
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

// What the selections of so many queries take; as much again where walks may be taken over.
int64_t round_bytes(int64_t num_queries, const Codes& database, int64_t k, int num_threads) {
  const SearchPlan plan(num_queries, database.num_codes, num_threads);
  return (num_threads > 1 ? 2 : 1) * num_queries * plan.num_parts *
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

// Where the results of a round go.
struct TopkRows {
  int32_t* distances;  // k a query
  int64_t* indices;
};

// The queries of one round, for which there is room. All members may throw std::bad_alloc.
class TopkRound {
 public:
  TopkRound(const Codes& queries, const Database& database, int64_t k, int num_threads)
      : queries_(queries),
        database_(database),
        k_(k),
        num_threads_(num_threads),
        max_distance_(8 * database.codes.num_bytes),
        isa_(kernels()),
        plan_(queries.num_codes, database.codes.num_codes, num_threads),
        method_(database.scan_method(isa_.scan_costs, plan_)),
        words_(queries) {
    if (!words_) throw std::bad_alloc();
  }

  Status run(const TopkRows& rows) {
    const Sample sample(plan_.num_blocks, k_);
    if (sample.num_blocks == 0) return select_and_emit(nullptr, rows);
    std::vector<int> limits(queries_.num_codes);
    const Status status = guess(sample, limits.data());
    return status == Status::kOk ? select_and_emit(limits.data(), rows) : status;
  }

 private:
  using Part = std::unique_ptr<TopkPart>;

  Status guess(const Sample& sample, int* limits) const;
  Status select_and_emit(const int* limits, const TopkRows& rows);
  void select(BlockWalk& walk, const int* limits);
  bool emit(int64_t query, int64_t least, int64_t* starts, const TopkRows& rows) const;
  Status search_again(const std::vector<int64_t>& chosen, const TopkRows& rows) const;

  // The k nearest of one block bound the k nearest of all.
  void start_from(int64_t block, int64_t k, int64_t first_query, int64_t num_queries, TileScan& tile,
                  TopkPart& part) const {
    for (int64_t q = 0; q < num_queries; ++q) tile.add(static_cast<int>(q), words_[first_query + q], kNoLimit);
    tile.warm_up(block, k, [&](uint32_t query, int threshold) { part[query].start(k, threshold); });
  }

  int64_t num_allowed() const {
    const int64_t num_codes = database_.codes.num_codes;
    return database_.allowed == nullptr ? num_codes
                                        : num_codes - std::count(database_.allowed, database_.allowed + num_codes, 0);
  }

  const Codes& queries_;
  const Database& database_;
  const int64_t k_;
  const int num_threads_, max_distance_;
  const Kernels& isa_;
  const SearchPlan plan_;
  const ScanMethod method_;
  const QueryWords words_;
  TileParts<TopkPart> parts_;
};

// limits[q] = a distance below which the k nearest of query q are likely to lie.
Status TopkRound::guess(const Sample& sample, int* limits) const {
  const auto block = [&](int64_t i) { return (2 * i + 1) * plan_.num_blocks / (2 * sample.num_blocks); };
  const int64_t num_parts = std::min(plan_.num_parts, sample.num_blocks);
  TileParts<TopkPart> parts;
  const auto scan_some = [&](int64_t task, int64_t) {
    const int64_t tile_index = task / num_parts, part_index = task % num_parts;
    const int64_t first = tile_index * plan_.queries_per_tile;
    const int64_t count = std::min(plan_.queries_per_tile, queries_.num_codes - first);
    const BlockRange range{sample.num_blocks * part_index / num_parts,
                           sample.num_blocks * (part_index + 1) / num_parts};
    TileScan tile(isa_, database_, method_, count);
    if (!tile) throw std::bad_alloc();
    auto part = std::make_unique<TopkPart>(tile_index, range.first, count,
                                           Selection::capacity(sample.k, range.size() * kBlockCodes), max_distance_);
    start_from(block(range.first), sample.k, first, count, tile, *part);
    BlockWalk walk(range);
    for (int64_t i; !tile.empty() && walk.next(&i);) {
      part->set_block(i);
      tile.scan(block(i), *part);
    }
    parts.add(std::move(part));
  };
  const Status status = for_each_group(plan_.num_tiles * num_parts, num_threads_, scan_some, 1);
  if (status != Status::kOk) return status;
  parts.sort(plan_.num_tiles);
  for (int64_t q = 0; q < queries_.num_codes; ++q) {
    int64_t found = 0;
    for (limits[q] = 0; limits[q] <= max_distance_ && found < sample.k; ++limits[q]) {
      for (const Part& part : parts.of(q / plan_.queries_per_tile)) {
        found += (*part)[q % plan_.queries_per_tile].count(limits[q]);
      }
    }
  }
  return Status::kOk;
}

// limits: null, or a guess for each query.
Status TopkRound::select_and_emit(const int* limits, const TopkRows& rows) {
  Status status = parallel_scans(plan_, num_threads_, [&](BlockWalk& walk) { select(walk, limits); });
  if (status != Status::kOk) return status;
  parts_.sort(plan_.num_tiles);

  const int64_t least = limits == nullptr ? 0 : std::min(k_, num_allowed());
  std::vector<int64_t> too_few;
  std::mutex mutex;
  const auto emit_some = [&](int64_t first, int64_t last) {
    int64_t starts[kMaxBits + 2];
    for (int64_t q = first; q < last; ++q) {
      if (emit(q, least, starts, rows)) continue;
      const std::lock_guard<std::mutex> lock(mutex);
      too_few.push_back(q);
    }
  };
  constexpr int64_t kEmitGroup = 16;
  status = for_each_group(queries_.num_codes, num_threads_, emit_some, kEmitGroup);
  if (status != Status::kOk || too_few.empty()) return status;
  parts_.clear();
  return search_again(too_few, rows);
}

void TopkRound::select(BlockWalk& walk, const int* limits) {
  const SearchPlan::Task task = plan_.task(walk.task());
  const int64_t num_queries = task.num_queries();
  auto part = std::make_unique<TopkPart>(task.tile, walk.first(), num_queries,
                                         Selection::capacity(k_, walk.most_blocks() * kBlockCodes), max_distance_);
  TileScan tile(isa_, database_, method_, num_queries);
  if (!tile) throw std::bad_alloc();
  if (limits == nullptr) {
    start_from(walk.first(), k_, task.first_query, num_queries, tile, *part);
  } else {
    for (int64_t q = 0; q < num_queries; ++q) {
      (*part)[q].start(k_, limits[task.first_query + q]);
      tile.add(static_cast<int>(q), words_[task.first_query + q], (*part)[q].threshold());
    }
  }
  for (int64_t block; !tile.empty() && walk.next(&block);) {
    part->set_block(block);
    tile.scan(block, *part);
  }
  parts_.add(std::move(part));
}

// Merges what was selected in all parts, part after part, into a row ordered by (distance, index). False where it is
// fewer than `least`. starts[d] is the rank of the next code at distance d, up to the distance of the k-th. Where
// selections dropped entries at that distance, too many came before.
bool TopkRound::emit(int64_t query, int64_t least, int64_t* starts, const TopkRows& rows) const {
  const auto parts = parts_.of(query / plan_.queries_per_tile);
  const int64_t own = query % plan_.queries_per_tile;
  int32_t* const distances = rows.distances + query * k_;
  int64_t* const indices = rows.indices + query * k_;
  int64_t found = 0;
  int last = -1;
  while (last < max_distance_ && found < k_) {
    starts[++last] = found;
    for (const Part& part : parts) found += (*part)[own].count(last);
  }
  if (found < least) return false;
  for (const Part& part : parts) {
    const int64_t first = part->first_block * kBlockCodes;
    for (const Selection::Entry& entry : (*part)[own]) {
      if (entry.distance > last) continue;
      const int64_t rank = starts[entry.distance]++;
      if (rank >= k_) continue;
      distances[rank] = entry.distance;
      indices[rank] = first + entry.index;
    }
  }
  if (found < k_) {
    std::fill(distances + found, distances + k_, std::numeric_limits<int32_t>::max());
    std::fill(indices + found, indices + k_, -1);
  }
  return true;
}

// Without a guess.
Status TopkRound::search_again(const std::vector<int64_t>& chosen, const TopkRows& rows) const {
  const auto count = static_cast<int64_t>(chosen.size());
  const int64_t queries_per_round = round_size(count, database_.codes, k_, num_threads_);
  const int num_bytes = queries_.num_bytes;
  std::vector<uint8_t> codes(queries_per_round * num_bytes);
  std::vector<int32_t> distances(queries_per_round * k_);
  std::vector<int64_t> indices(queries_per_round * k_);
  for (int64_t first = 0; first < count; first += queries_per_round) {
    const int64_t size = std::min(queries_per_round, count - first);
    for (int64_t i = 0; i < size; ++i) {
      std::memcpy(codes.data() + i * num_bytes, queries_.row(chosen[first + i]), num_bytes);
    }
    const Codes some{codes.data(), size, num_bytes, num_bytes};
    const Status status =
        TopkRound(some, database_, k_, num_threads_).select_and_emit(nullptr, {distances.data(), indices.data()});
    if (status != Status::kOk) return status;
    for (int64_t i = 0; i < size; ++i) {
      std::copy_n(distances.data() + i * k_, k_, rows.distances + chosen[first + i] * k_);
      std::copy_n(indices.data() + i * k_, k_, rows.indices + chosen[first + i] * k_);
    }
  }
  return Status::kOk;
}

}  // namespace

Status topk(const Codes& queries, const Database& database, int64_t k, int32_t* distances, int64_t* indices,
            int num_threads) noexcept {
  if (is_of_few(database, queries.num_codes, num_threads)) {
    return topk_of_few(queries, database, k, distances, indices, num_threads);
  }
  const int64_t queries_per_round = round_size(queries.num_codes, database.codes, k, num_threads);
  return or_out_of_memory([&] {
    for (int64_t first = 0; first < queries.num_codes; first += queries_per_round) {
      Codes some = queries;
      some.data = queries.row(first);
      some.num_codes = std::min(queries_per_round, queries.num_codes - first);
      TopkRound round(some, database, k, num_threads);
      const Status status = round.run({distances + first * k, indices + first * k});
      if (status != Status::kOk) return status;
    }
    return Status::kOk;
  });
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
