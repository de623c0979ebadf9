#include <algorithm>
#include <atomic>
#include <cstdint>
#include <new>

#include "database.hpp"
#include "few_codes.hpp"
#include "finds.hpp"
#include "scan.hpp"
#include "search_plan.hpp"

namespace hashkernels {
namespace {

// Calls visit(task, tile, block, first) for every block of every task of the plan; `first` is the position of the block
// within its part.
template <class Visit>
Status scan_all(const SearchPlan& plan, const Codes& queries, const Database& database, int radius, int num_threads,
                Visit&& visit) {
  const Kernels& isa = kernels();
  const ScanMethod method = database.scan_method(isa.scan_costs, plan);
  const int threshold = std::min(radius, 8 * database.codes.num_bytes) + 1;
  const QueryWords query_words(queries);
  if (!query_words) return Status::kOutOfMemory;
  std::atomic<bool> out_of_memory{false};
  const Status status = parallel_for(plan.num_tasks(), num_threads, [&](int64_t index, int) {
    const SearchPlan::Task task = plan.task(index);
    TileScan tile(isa, database, method, task.last_query - task.first_query);
    if (!tile) {
      out_of_memory.store(true, std::memory_order_relaxed);
      return;
    }
    for (int64_t q = task.first_query; q < task.last_query; ++q) {
      tile.add(static_cast<int>(q - task.first_query), query_words[q], threshold);
    }
    for (int64_t block = task.first_block; block < task.last_block && !stop_at(block); ++block) {
      if (!visit(task, tile, block, (block - task.first_block) * kBlockCodes)) {
        out_of_memory.store(true, std::memory_order_relaxed);
        return;
      }
    }
  });
  if (status != Status::kOk) return status;
  return out_of_memory.load(std::memory_order_relaxed) ? Status::kOutOfMemory : Status::kOk;
}

struct FindSink {
  ScannedFinds& state;
  const SearchPlan::Task& task;
  int64_t first;
  bool out_of_memory = false;

  bool take(uint32_t query, int position, int distance) {
    Finds& finds = state.at(task.first_query + query, task.part);
    out_of_memory |= !finds.add(static_cast<uint32_t>(first + position), distance, state.max_results);
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
  const SearchPlan plan(queries.num_codes, database.codes.num_codes, num_threads);
  std::unique_ptr<ScannedFinds> state(new (std::nothrow) ScannedFinds(queries.num_codes, plan.num_parts,
                                                                      plan.blocks_per_part * kBlockCodes,
                                                                      8 * database.codes.num_bytes, max_results));
  if (!state || !*state) return Status::kOutOfMemory;
  const Status status = scan_all(plan, queries, database, radius, num_threads,
                                 [&](const SearchPlan::Task& task, TileScan& tile, int64_t block, int64_t first) {
                                   FindSink sink{*state, task, first};
                                   tile.scan(block, sink);
                                   return !sink.out_of_memory;
                                 });
  state->finish();
  finds->state = std::move(state);
  return status;
}

Status range_count(const Codes& queries, const Database& database, int radius, int64_t* counts,
                   int num_threads) noexcept {
  if (is_of_few(database, queries.num_codes, num_threads)) {
    return range_count_of_few(queries, database, radius, counts, num_threads);
  }
  std::fill(counts, counts + queries.num_codes, 0);
  const SearchPlan plan(queries.num_codes, database.codes.num_codes, num_threads);
  Buffer<int64_t> part_counts(queries.num_codes * plan.num_parts);
  if (!part_counts) return Status::kOutOfMemory;
  std::fill(part_counts.data(), part_counts.data() + queries.num_codes * plan.num_parts, 0);
  const Status status =
      scan_all(plan, queries, database, radius, num_threads,
               [&](const SearchPlan::Task& task, TileScan& tile, int64_t block, int64_t) {
                 tile.count(block, part_counts.data() + task.part * queries.num_codes + task.first_query);
                 return true;
               });
  for (int64_t part = 0; part < plan.num_parts; ++part) {
    for (int64_t q = 0; q < queries.num_codes; ++q) counts[q] += part_counts[part * queries.num_codes + q];
  }
  return status;
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
