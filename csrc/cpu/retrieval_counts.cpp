#include <algorithm>
#include <cstring>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "class_lists.hpp"
#include "count_group.hpp"
#include "query_groups.hpp"
#include "search_plan.hpp"

namespace hashkernels {
namespace {

void add(const int64_t* counts, int64_t size, int64_t* to) {
  for (int64_t i = 0; i < size; ++i) to[i] += counts[i];
}

// A task is a group of queries against a part of the database; with few queries the database is split so that every
// thread has work. Integers add up to the same sums in any order. relevant == nullptr: all codes alone.
Status count_groups(const Kernels& isa, const Codes& queries, const Codes& database, Labels query_labels,
                    Labels database_labels, int64_t* total, int64_t* relevant, int num_threads) {
  const int64_t num_bins = 8 * int64_t{queries.num_bytes} + 1;
  const LabelledQueries labelled(queries, query_labels);
  if (!labelled) return Status::kOutOfMemory;

  const int64_t group = queries_per_task(isa, queries, relevant != nullptr, num_threads);
  const int64_t num_groups = divide_up(queries.num_codes, group), blocks = num_blocks(database.num_codes);
  const int64_t num_parts = std::clamp<int64_t>(divide_up(num_threads, num_groups), 1, std::max<int64_t>(blocks, 1));
  const auto blocks_of = [&](int64_t task) {
    const int64_t part = task / num_groups;
    return BlockRange{blocks * part / num_parts, blocks * (part + 1) / num_parts};
  };
  // Of each group: what its walks counted that do not begin at the first block, total before relevant.
  std::vector<std::vector<int64_t>> later(num_groups);
  std::mutex mutex;
  const auto count = [&](BlockWalk& walk) {
    const int64_t index = walk.task() % num_groups;
    const int64_t first = index * group, last = std::min(first + group, queries.num_codes);
    const int64_t size = (last - first) * num_bins;
    const bool is_later = walk.first() > 0;
    std::vector<int64_t> own(is_later ? (relevant == nullptr ? size : 2 * size) : 0);
    int64_t* const own_total = is_later ? own.data() : total + first * num_bins;
    int64_t* own_relevant = nullptr;
    if (relevant != nullptr) own_relevant = is_later ? own_total + size : relevant + first * num_bins;
    const CountingTask task{.queries = queries,
                            .database = database,
                            .query_labels = query_labels,
                            .database_labels = database_labels,
                            .first = first,
                            .last = last,
                            .total = own_total,
                            .relevant = own_relevant};
    if (!count_group(isa, labelled, task, walk)) throw std::bad_alloc();
    if (!is_later) return;
    const std::lock_guard<std::mutex> lock(mutex);
    if (later[index].empty()) {
      later[index] = std::move(own);
    } else {
      add(own.data(), static_cast<int64_t>(own.size()), later[index].data());
    }
  };
  const Status status =
      parallel_walks(num_groups * num_parts, num_threads, {.at_once = 4, .least_shared = 32}, blocks_of, count);
  if (status != Status::kOk) return status;
  for (int64_t index = 0; index < num_groups; ++index) {
    if (later[index].empty()) continue;
    const int64_t first = index * group;
    const int64_t size = (std::min(first + group, queries.num_codes) - first) * num_bins;
    add(later[index].data(), size, total + first * num_bins);
    if (relevant != nullptr) add(later[index].data() + size, size, relevant + first * num_bins);
  }
  return Status::kOk;
}

}  // namespace

Status retrieval_counts(const Codes& queries, const Codes& database, Labels query_labels, Labels database_labels,
                        int64_t* total, int64_t* relevant, int num_threads) noexcept {
  if (queries.num_codes == 0) return Status::kOk;
  const Kernels& isa = kernels();
  const int64_t size = queries.num_codes * (8 * int64_t{queries.num_bytes} + 1);
  std::memset(total, 0, sizeof(int64_t) * size);
  std::memset(relevant, 0, sizeof(int64_t) * size);
  return or_out_of_memory([&] {
    if (database_labels.words == 0 && can_count_alone(isa, queries)) {
      const ClassLists lists(queries, database, query_labels, database_labels);
      if (!lists) return Status::kOutOfMemory;
      if (lists.are_short()) {
        const Status status = lists.count(isa, relevant, num_threads);
        if (status != Status::kOk) return status;
        return count_groups(isa, queries, database, query_labels, database_labels, total, nullptr, num_threads);
      }
    }
    return count_groups(isa, queries, database, query_labels, database_labels, total, relevant, num_threads);
  });
}

}  // namespace hashkernels
