#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>

#include "hashkernels/search.h"
#include "scan.hpp"

namespace hashkernels {
namespace {

constexpr int64_t kTile = 1024;
constexpr int64_t kQueriesPerThread = 32;  // with fewer, threads share the database instead of the queries

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Tasks are (tile of queries) x (part of the database).
struct Cut {
  int64_t queries_per_tile, num_tiles, blocks_per_part, num_parts;
};

Cut cut(int64_t num_queries, const Codes& database, int num_threads) {
  const int64_t blocks = num_blocks(database.num_codes), threads = std::max(num_threads, 1);
  const bool split_queries = num_queries >= kQueriesPerThread * threads;
  Cut result;
  result.queries_per_tile = std::min(kTile, split_queries ? divide_up(num_queries, threads) : num_queries);
  result.num_tiles = divide_up(num_queries, result.queries_per_tile);
  result.blocks_per_part = split_queries ? blocks : divide_up(blocks, threads);
  result.num_parts = divide_up(blocks, result.blocks_per_part);
  return result;
}

// Calls visit(query, part, index, distance) for every code within `radius`; for one query and part in the order of the
// indices, and on one thread.
template <class Visit>
Status for_each_within(const Codes& queries, const Codes& database, int radius, const Cut& plan, int num_threads,
                       Visit&& visit) {
  const Kernels& isa = kernels();
  const int num_words = words_per_code(database.num_bytes);
  const int threshold = std::min(radius, 8 * database.num_bytes) + 1;
  const QueryWords query_words(queries);
  if (!query_words) return Status::kOutOfMemory;
  std::atomic<bool> out_of_memory{false};
  const Status status = parallel_for(plan.num_tiles * plan.num_parts, num_threads, [&](int64_t task, int) {
    const int64_t part = task / plan.num_tiles, first_query = task % plan.num_tiles * plan.queries_per_tile;
    const int64_t last_query = std::min(first_query + plan.queries_per_tile, queries.num_codes);
    BlockReader block(database, nullptr);
    if (!block) {
      out_of_memory.store(true, std::memory_order_relaxed);
      return;
    }
    const int64_t last_block =
        std::min((part + 1) * plan.blocks_per_part, num_blocks(database.num_codes));
    for (int64_t b = part * plan.blocks_per_part; b < last_block; ++b) {
      block.load(b);
      for (int64_t q = first_query; q < last_query; ++q) {
        scan_block(isa, query_words[q], block, num_words, threshold, [&](int position, int distance) {
          visit(q, part, b * kBlockCodes + position, distance);
          return threshold;
        });
      }
    }
  });
  return out_of_memory.load(std::memory_order_relaxed) ? Status::kOutOfMemory : status;
}

}  // namespace

Status range_count(const Codes& queries, const Codes& database, int radius, int64_t* counts,
                   int num_threads) noexcept {
  std::fill(counts, counts + queries.num_codes, 0);
  if (queries.num_codes == 0 || database.num_codes == 0) return Status::kOk;
  const Cut plan = cut(queries.num_codes, database, num_threads);
  Buffer<int64_t> part_counts(queries.num_codes * plan.num_parts);
  if (!part_counts) return Status::kOutOfMemory;
  std::fill(part_counts.data(), part_counts.data() + queries.num_codes * plan.num_parts, 0);
  const Status status = for_each_within(
      queries, database, radius, plan, num_threads,
      [&](int64_t query, int64_t part, int64_t, int) { ++part_counts[part * queries.num_codes + query]; });
  for (int64_t part = 0; part < plan.num_parts; ++part) {
    for (int64_t q = 0; q < queries.num_codes; ++q) counts[q] += part_counts[part * queries.num_codes + q];
  }
  return status;
}

namespace {

// The finds of one query in one part, in the order of their indices.
struct Finds {
  int64_t* indices = nullptr;
  uint16_t* distances = nullptr;
  int64_t size = 0, capacity = 0;

  bool add(int64_t index, int distance) {
    if (size == capacity) {
      const int64_t roomier = std::max<int64_t>(16, 2 * capacity);
      void* new_indices = std::realloc(indices, sizeof(int64_t) * roomier);
      if (new_indices != nullptr) indices = static_cast<int64_t*>(new_indices);
      void* new_distances = std::realloc(distances, sizeof(uint16_t) * roomier);
      if (new_distances != nullptr) distances = static_cast<uint16_t*>(new_distances);
      if (new_indices == nullptr || new_distances == nullptr) return false;
      capacity = roomier;
    }
    indices[size] = index;
    distances[size] = static_cast<uint16_t>(distance);
    ++size;
    return true;
  }
};

class FindsOfAll {
 public:
  FindsOfAll(int64_t count) : count_(count), finds_(count) {
    if (finds_) std::fill(finds_.data(), finds_.data() + count, Finds{});
  }
  ~FindsOfAll() {
    if (!finds_) return;
    for (int64_t i = 0; i < count_; ++i) {
      std::free(finds_[i].indices);
      std::free(finds_[i].distances);
    }
  }
  explicit operator bool() const { return static_cast<bool>(finds_); }
  Finds& operator[](int64_t i) { return finds_[i]; }

 private:
  int64_t count_;
  Buffer<Finds> finds_;
};

}  // namespace

Status range_fill(const Codes& queries, const Codes& database, int radius, const int64_t* offsets, int32_t* distances,
                  int64_t* indices, int num_threads) noexcept {
  if (queries.num_codes == 0 || database.num_codes == 0) return Status::kOk;
  const Cut plan = cut(queries.num_codes, database, num_threads);
  FindsOfAll finds(queries.num_codes * plan.num_parts);
  if (!finds) return Status::kOutOfMemory;
  std::atomic<bool> out_of_memory{false};
  Status status = for_each_within(queries, database, radius, plan, num_threads,
                                  [&](int64_t query, int64_t part, int64_t index, int distance) {
                                    if (!finds[query * plan.num_parts + part].add(index, distance)) {
                                      out_of_memory.store(true, std::memory_order_relaxed);
                                    }
                                  });
  if (status != Status::kOk) return status;
  if (out_of_memory.load(std::memory_order_relaxed)) return Status::kOutOfMemory;

  constexpr int64_t kSortTask = 64;
  return parallel_for(divide_up(queries.num_codes, kSortTask), num_threads, [&](int64_t task, int) {
    int64_t starts[kMaxBits + 2];
    const int max_distance = 8 * database.num_bytes;
    for (int64_t q = task * kSortTask; q < std::min((task + 1) * kSortTask, queries.num_codes); ++q) {
      std::fill(starts, starts + max_distance + 2, 0);
      for (int64_t part = 0; part < plan.num_parts; ++part) {
        const Finds& found = finds[q * plan.num_parts + part];
        for (int64_t i = 0; i < found.size; ++i) ++starts[found.distances[i] + 1];
      }
      starts[0] = offsets[q];
      for (int d = 0; d < max_distance; ++d) starts[d + 1] += starts[d];
      for (int64_t part = 0; part < plan.num_parts; ++part) {
        const Finds& found = finds[q * plan.num_parts + part];
        for (int64_t i = 0; i < found.size; ++i) {
          const int64_t rank = starts[found.distances[i]]++;
          distances[rank] = found.distances[i];
          indices[rank] = found.indices[i];
        }
      }
    }
  });
}

}  // namespace hashkernels
