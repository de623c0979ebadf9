#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>

#include "hashkernels/index.h"
#include "hashkernels/search.h"
#include "scan.hpp"
#include "search_plan.hpp"

namespace hashkernels {
namespace {

// The finds of one query in one part of the database, in the order of their positions. Owns its memory.
struct Finds {
  uint32_t* positions = nullptr;
  uint16_t* distances = nullptr;
  int64_t size = 0, capacity = 0;

  bool add(uint32_t position, int distance) {
    if (size == capacity && !grow()) return false;
    positions[size] = position;
    distances[size] = static_cast<uint16_t>(distance);
    ++size;
    return true;
  }

  bool grow() {
    const int64_t roomier = std::max<int64_t>(16, 2 * capacity);
    void* new_positions = std::realloc(positions, sizeof(uint32_t) * roomier);
    if (new_positions == nullptr) return false;
    positions = static_cast<uint32_t*>(new_positions);
    void* new_distances = std::realloc(distances, sizeof(uint16_t) * roomier);
    if (new_distances == nullptr) return false;
    distances = static_cast<uint16_t*>(new_distances);
    capacity = roomier;
    return true;
  }
};

class FindsOfAll {
 public:
  explicit FindsOfAll(int64_t count) : count_(count), finds_(count) {
    if (finds_) std::fill(finds_.data(), finds_.data() + count, Finds{});
  }
  ~FindsOfAll() {
    for (int64_t i = 0; finds_ && i < count_; ++i) {
      std::free(finds_[i].positions);
      std::free(finds_[i].distances);
    }
  }
  FindsOfAll(const FindsOfAll&) = delete;
  FindsOfAll& operator=(const FindsOfAll&) = delete;
  explicit operator bool() const { return static_cast<bool>(finds_); }
  Finds& operator[](int64_t i) { return finds_[i]; }

 private:
  int64_t count_;
  Buffer<Finds> finds_;
};

// Scans every task of the plan; make_sink(task) gives what TileScan needs and gets `first`, the position within the
// part of the block at hand.
template <class MakeSink>
Status scan_all(const SearchPlan& plan, const Codes& queries, const Database& database, int radius, int num_threads,
                MakeSink&& make_sink) {
  const Kernels& isa = kernels();
  const int threshold = std::min(radius, 8 * database.codes.num_bytes) + 1;
  const QueryWords query_words(queries);
  if (!query_words) return Status::kOutOfMemory;
  std::atomic<bool> out_of_memory{false};
  const Status status = parallel_for(plan.num_tasks(), num_threads, [&](int64_t index, int) {
    const SearchPlan::Task task = plan.task(index);
    TileScan tile(isa, database, task.last_query - task.first_query);
    if (!tile) {
      out_of_memory.store(true, std::memory_order_relaxed);
      return;
    }
    for (int64_t q = task.first_query; q < task.last_query; ++q) {
      tile.add(static_cast<int>(q - task.first_query), query_words[q], threshold);
    }
    auto sink = make_sink(task, threshold);
    for (int64_t block = task.first_block; block < task.last_block; ++block) {
      sink.first = static_cast<uint32_t>((block - task.first_block) * kBlockCodes);
      tile.scan(block, sink);
    }
  });
  return out_of_memory.load(std::memory_order_relaxed) ? Status::kOutOfMemory : status;
}

struct CountSink {
  int64_t* counts;  // of the first query of the tile
  int limit;
  uint32_t first = 0;

  bool take(uint32_t query, int, int) const {
    ++counts[query];
    return false;
  }
  void prefetch(uint32_t, int) const {}
  int threshold(uint32_t) const { return limit; }
};

struct FindSink {
  Finds* finds;  // of the first query of the tile
  int64_t stride;
  int limit;
  std::atomic<bool>* out_of_memory;
  uint32_t first = 0;

  bool take(uint32_t query, int position, int distance) const {
    if (!finds[query * stride].add(first + position, distance)) {
      out_of_memory->store(true, std::memory_order_relaxed);
    }
    return false;
  }
  void prefetch(uint32_t, int) const {}
  int threshold(uint32_t) const { return limit; }
};

// Sorts the finds of one query by counting, part after part, to distances[offset] and indices[offset] and on.
void emit(const Finds* parts, int64_t num_parts, int64_t codes_per_part, int max_distance, int64_t offset,
          int64_t* starts, int32_t* distances, int64_t* indices) {
  std::fill(starts, starts + max_distance + 2, 0);
  for (int64_t p = 0; p < num_parts; ++p) {
    for (int64_t i = 0; i < parts[p].size; ++i) ++starts[parts[p].distances[i] + 1];
  }
  starts[0] = offset;
  for (int d = 0; d <= max_distance; ++d) starts[d + 1] += starts[d];
  for (int64_t p = 0; p < num_parts; ++p) {
    for (int64_t i = 0; i < parts[p].size; ++i) {
      const int64_t rank = starts[parts[p].distances[i]]++;
      distances[rank] = parts[p].distances[i];
      indices[rank] = p * codes_per_part + parts[p].positions[i];
    }
  }
}

Status count(const Codes& queries, const Database& database, int radius, int64_t* counts, int num_threads) {
  std::fill(counts, counts + queries.num_codes, 0);
  if (queries.num_codes == 0 || database.codes.num_codes == 0) return Status::kOk;
  const SearchPlan plan(queries.num_codes, database.codes.num_codes, num_threads);
  Buffer<int64_t> part_counts(queries.num_codes * plan.num_parts);
  if (!part_counts) return Status::kOutOfMemory;
  std::fill(part_counts.data(), part_counts.data() + queries.num_codes * plan.num_parts, 0);
  const Status status = scan_all(plan, queries, database, radius, num_threads, [&](const auto& task, int threshold) {
    return CountSink{part_counts.data() + task.part * queries.num_codes + task.first_query, threshold};
  });
  for (int64_t part = 0; part < plan.num_parts; ++part) {
    for (int64_t q = 0; q < queries.num_codes; ++q) counts[q] += part_counts[part * queries.num_codes + q];
  }
  return status;
}

Status fill(const Codes& queries, const Database& database, int radius, const int64_t* offsets, int32_t* distances,
            int64_t* indices, int num_threads) {
  if (queries.num_codes == 0 || database.codes.num_codes == 0) return Status::kOk;
  const SearchPlan plan(queries.num_codes, database.codes.num_codes, num_threads);
  FindsOfAll finds(queries.num_codes * plan.num_parts);
  if (!finds) return Status::kOutOfMemory;
  std::atomic<bool> out_of_memory{false};
  const Status status = scan_all(plan, queries, database, radius, num_threads, [&](const auto& task, int threshold) {
    return FindSink{&finds[task.first_query * plan.num_parts + task.part], plan.num_parts, threshold, &out_of_memory};
  });
  if (status != Status::kOk) return status;
  if (out_of_memory.load(std::memory_order_relaxed)) return Status::kOutOfMemory;
  constexpr int64_t kEmitTask = 16;
  return parallel_for(divide_up(queries.num_codes, kEmitTask), num_threads, [&](int64_t task, int) {
    int64_t starts[kMaxBits + 2];
    for (int64_t q = task * kEmitTask; q < std::min((task + 1) * kEmitTask, queries.num_codes); ++q) {
      emit(&finds[q * plan.num_parts], plan.num_parts, plan.blocks_per_part * kBlockCodes, 8 * database.codes.num_bytes,
           offsets[q], starts, distances, indices);
    }
  });
}

}  // namespace

Status range_count(const Codes& queries, const Codes& database, int radius, int64_t* counts, int num_threads) noexcept {
  return count(queries, Database(database), radius, counts, num_threads);
}

Status range_count(const Codes& queries, const SlicedCodes& database, int radius, int64_t* counts,
                   int num_threads) noexcept {
  return count(queries, Database(database), radius, counts, num_threads);
}

Status range_fill(const Codes& queries, const Codes& database, int radius, const int64_t* offsets, int32_t* distances,
                  int64_t* indices, int num_threads) noexcept {
  return fill(queries, Database(database), radius, offsets, distances, indices, num_threads);
}

Status range_fill(const Codes& queries, const SlicedCodes& database, int radius, const int64_t* offsets,
                  int32_t* distances, int64_t* indices, int num_threads) noexcept {
  return fill(queries, Database(database), radius, offsets, distances, indices, num_threads);
}

}  // namespace hashkernels
