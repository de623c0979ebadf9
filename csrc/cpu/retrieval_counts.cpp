#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

#include "class_lists.hpp"
#include "count_group.hpp"
#include "query_groups.hpp"
#include "search_plan.hpp"

namespace hashkernels {
namespace {

// Counts of a walk that does not begin at the first block, laid out as in retrieval_counts.
struct LaterCounts {
  LaterCounts(int64_t first, int64_t count) : first_query(first), size(count), counts(2 * count) {}

  int64_t first_query, size;
  std::vector<int64_t> counts;  // total, relevant
};

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
  std::vector<std::unique_ptr<LaterCounts>> later;
  std::mutex mutex;
  const auto count = [&](BlockWalk& walk) {
    const int64_t first = walk.task() % num_groups * group, last = std::min(first + group, queries.num_codes);
    std::unique_ptr<LaterCounts> own;
    if (walk.first() > 0) own = std::make_unique<LaterCounts>(first, (last - first) * num_bins);
    int64_t* const own_total = own ? own->counts.data() : total + first * num_bins;
    int64_t* own_relevant = nullptr;
    if (relevant != nullptr) own_relevant = own ? own_total + own->size : relevant + first * num_bins;
    const CountingTask task{.queries = queries,
                            .database = database,
                            .query_labels = query_labels,
                            .database_labels = database_labels,
                            .first = first,
                            .last = last,
                            .total = own_total,
                            .relevant = own_relevant};
    if (!count_group(isa, labelled, task, walk)) throw std::bad_alloc();
    if (!own) return;
    const std::lock_guard<std::mutex> lock(mutex);
    later.push_back(std::move(own));
  };
  const Status status =
      parallel_walks(num_groups * num_parts, num_threads, {.at_once = 4, .least_shared = 32}, blocks_of, count);
  if (status != Status::kOk) return status;
  for (const auto& part : later) {
    const int64_t* counts = part->counts.data();
    const int64_t at = part->first_query * num_bins;
    for (int64_t i = 0; i < part->size; ++i) total[at + i] += counts[i];
    for (int64_t i = 0; relevant != nullptr && i < part->size; ++i) relevant[at + i] += counts[part->size + i];
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
