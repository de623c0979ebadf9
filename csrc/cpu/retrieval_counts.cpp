#include <algorithm>
#include <atomic>
#include <cstring>

#include "class_lists.hpp"
#include "count_group.hpp"

namespace hashkernels {
namespace {

// A task is a group of queries against a part of the database. With few queries the database is split so that every
// thread has work; each part then counts into an array of its own, and integers add up to the same sums in any order.
// relevant == nullptr: all codes alone.
Status count_groups(const Kernels& isa, const Codes& queries, const Codes& database, Labels query_labels,
                    Labels database_labels, int64_t* total, int64_t* relevant, int num_threads) {
  const int64_t num_bins = 8 * int64_t{queries.num_bytes} + 1;
  const int64_t size = queries.num_codes * num_bins;
  const LabelledQueries labelled(queries, query_labels);
  if (!labelled) return Status::kOutOfMemory;

  const int64_t group = queries_per_task(isa, queries, relevant != nullptr, num_threads);
  const int64_t num_groups = (queries.num_codes + group - 1) / group;
  const int64_t blocks = num_blocks(database.num_codes);
  const int64_t wanted = num_groups >= 2 * num_threads ? 1 : (2 * num_threads + num_groups - 1) / num_groups;
  const int64_t num_parts = std::max<int64_t>(1, std::min(num_threads == 1 ? 1 : wanted, blocks));
  const int64_t sums_a_part = relevant == nullptr ? size : 2 * size;
  Buffer<int64_t> partial;  // parts after the first: [part - 1][total, relevant][query][distance]
  if (!partial.allocate((num_parts - 1) * sums_a_part)) return Status::kOutOfMemory;
  std::memset(partial.data(), 0, sizeof(int64_t) * (num_parts - 1) * sums_a_part);

  std::atomic<bool> out_of_memory{false};
  const Status status = parallel_for(num_groups * num_parts, num_threads, [&](int64_t index, int) {
    const int64_t part = index % num_parts;
    const int64_t first = index / num_parts * group;
    int64_t* part_total = part == 0 ? total : partial.data() + (part - 1) * sums_a_part;
    int64_t* part_relevant = part == 0 || relevant == nullptr ? relevant : part_total + size;
    const CountingTask task{.queries = queries,
                            .database = database,
                            .query_labels = query_labels,
                            .database_labels = database_labels,
                            .first = first,
                            .last = std::min(first + group, queries.num_codes),
                            .first_block = blocks * part / num_parts,
                            .last_block = blocks * (part + 1) / num_parts,
                            .total = part_total + first * num_bins,
                            .relevant = relevant == nullptr ? nullptr : part_relevant + first * num_bins};
    if (!count_group(isa, labelled, task)) out_of_memory = true;
  });
  if (status != Status::kOk) return status;
  if (out_of_memory) return Status::kOutOfMemory;
  for (int64_t part = 1; part < num_parts; ++part) {
    const int64_t* sums = partial.data() + (part - 1) * sums_a_part;
    for (int64_t i = 0; i < size; ++i) total[i] += sums[i];
    for (int64_t i = 0; relevant != nullptr && i < size; ++i) relevant[i] += sums[size + i];
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
}

}  // namespace hashkernels
