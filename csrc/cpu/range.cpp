#include <algorithm>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

#include "database.hpp"
#include "few_codes.hpp"
#include "finds.hpp"
#include "query_groups.hpp"
#include "scan.hpp"
#include "search_plan.hpp"

namespace hashkernels {
namespace {

// A tile of queries that a walk takes through its blocks.
struct RangeWalk {
  const SearchPlan::Task& task;
  TileScan& tile;
  BlockWalk& walk;
};

// Calls body(RangeWalk) for walks through all blocks of every task of the plan. Throws std::bad_alloc.
template <class Body>
Status scan_all(const SearchPlan& plan, const Codes& queries, const Database& database, int radius, int num_threads,
                Body&& body) {
  const Kernels& isa = kernels();
  const ScanMethod method = database.scan_method(isa.scan_costs, plan);
  const int threshold = std::min(radius, 8 * database.codes.num_bytes) + 1;
  const QueryWords query_words(queries);
  if (!query_words) return Status::kOutOfMemory;
  return parallel_scans(plan, num_threads, [&](BlockWalk& walk) {
    const SearchPlan::Task task = plan.task(walk.task());
    TileScan tile(isa, database, method, task.num_queries());
    if (!tile) throw std::bad_alloc();
    for (int64_t q = 0; q < task.num_queries(); ++q) {
      tile.add(static_cast<int>(q), query_words[task.first_query + q], threshold);
    }
    body(RangeWalk{task, tile, walk});
  });
}

// What a walk finds, as TileScan's sink.
struct FindSink {
  FindsPart& part;
  int64_t max_results;
  uint32_t first_position = 0;  // of the block at hand

  bool take(uint32_t query, int position, int distance) {
    if (!part.finds[query].add(first_position + position, distance, max_results)) throw std::bad_alloc();
    return false;
  }
  void prefetch(uint32_t, int) const {}
  int threshold(uint32_t) const { return 0; }  // never asked for: take() lowers none
};

}  // namespace

Status range_search(const Codes& queries, const Database& database, int radius, int64_t max_results, RangeFinds* finds,
                    int num_threads) noexcept {
  if (is_of_few(database, queries.num_codes, num_threads)) {
    return range_search_of_few(queries, database, radius, max_results, finds, num_threads);
  }
  return or_out_of_memory([&] {
    const SearchPlan plan(queries.num_codes, database.codes.num_codes, num_threads);
    auto state = std::make_unique<ScannedFinds>(plan, 8 * database.codes.num_bytes, max_results);
    if (!*state) return Status::kOutOfMemory;
    const Status status = scan_all(plan, queries, database, radius, num_threads, [&](const RangeWalk& at) {
      auto part = std::make_unique<FindsPart>(at.task.tile, at.walk.first(), at.task.num_queries());
      FindSink sink{*part, max_results};
      for (int64_t block; at.walk.next(&block);) {
        sink.first_position = static_cast<uint32_t>((block - part->first_block) * kBlockCodes);
        at.tile.scan(block, sink);
      }
      state->add(std::move(part));
    });
    if (status != Status::kOk) return status;
    state->finish();
    finds->state = std::move(state);
    return status;
  });
}

Status range_count(const Codes& queries, const Database& database, int radius, int64_t* counts,
                   int num_threads) noexcept {
  if (is_of_few(database, queries.num_codes, num_threads)) {
    return range_count_of_few(queries, database, radius, counts, num_threads);
  }
  return or_out_of_memory([&] {
    std::fill(counts, counts + queries.num_codes, 0);
    const SearchPlan plan(queries.num_codes, database.codes.num_codes, num_threads);
    std::mutex mutex;
    return scan_all(plan, queries, database, radius, num_threads, [&](const RangeWalk& at) {
      std::vector<int64_t> own(at.task.num_queries());
      for (int64_t block; at.walk.next(&block);) at.tile.count(block, own.data());
      const std::lock_guard<std::mutex> lock(mutex);
      for (int64_t q = 0; q < at.task.num_queries(); ++q) counts[at.task.first_query + q] += own[q];
    });
  });
}

Status range_search(const Codes& queries, const Codes& database, int radius, int64_t max_results,
                    const uint8_t* allowed, RangeFinds* finds, int num_threads) noexcept {
  return range_search(queries, Database(database, allowed), radius, max_results, finds, num_threads);
}

Status range_search(const Codes& queries, const SlicedCodes& database, int radius, int64_t max_results,
                    const uint8_t* allowed, RangeFinds* finds, int num_threads) noexcept {
  return range_search(queries, Database(database, allowed), radius, max_results, finds, num_threads);
}

Status range_count(const Codes& queries, const Codes& database, int radius, const uint8_t* allowed, int64_t* counts,
                   int num_threads) noexcept {
  return range_count(queries, Database(database, allowed), radius, counts, num_threads);
}

Status range_count(const Codes& queries, const SlicedCodes& database, int radius, const uint8_t* allowed,
                   int64_t* counts, int num_threads) noexcept {
  return range_count(queries, Database(database, allowed), radius, counts, num_threads);
}

}  // namespace hashkernels
