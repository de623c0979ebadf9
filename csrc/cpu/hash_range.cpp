#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "hash_probes.hpp"
#include "query_groups.hpp"
#include "search_plan.hpp"
#include "sorted_finds.hpp"

namespace hashkernels {
namespace {

// How far to look in each chunk, and what that reads.
struct ChunkRadii {
  std::vector<int> radii;  // -1: not at all
  double work = 0;         // of a query
};

// What a ring of buckets costs, from a few of the queries.
class RingWork {
 public:
  RingWork(const HashTables& tables, const HashWork& costs, const QueryRows& rows, int64_t num_queries, int radius)
      : tables_(tables), costs_(costs), rows_(rows), fields_(tables), num_queries_(num_queries), radius_(radius) {
    for (int c = 0; c < tables.num_chunks; ++c) masks_.emplace_back(tables.widths[c]);
  }

  double operator()(int chunk, int ones) {
    const int width = tables_.widths[chunk];
    if (ring_size(width, ones) > kMaxRing) return costs_.ring(chunk, ones, radius_ - ones);
    Masks& masks = masks_[chunk];
    masks.extend_to(ones);
    const uint32_t* starts = tables_.offsets + fields_.first_offset(chunk);
    const int64_t size = masks.ring_size(ones), step = divide_up(size, kBuckets);
    const int64_t num_samples = std::min(num_queries_, kSamples);
    const auto for_each_bucket = [&](auto&& visit) {
      for (int64_t i = 0; i < num_samples; ++i) {
        const uint32_t key = fields_.key(rows_[i * num_queries_ / num_samples], chunk);
        for (int64_t j = i % step; j < size; j += step) visit(key ^ masks.ring(ones)[j]);
      }
    };
    int64_t buckets = 0, entries = 0;
    for_each_bucket([&](uint32_t bucket) { __builtin_prefetch(starts + bucket); });
    for_each_bucket([&](uint32_t bucket) {
      ++buckets;
      entries += starts[bucket + 1] - starts[bucket];
    });
    // What chance would not put there comes of codes in clusters, of which most are near.
    const double by_chance = std::ldexp(static_cast<double>(buckets * tables_.num_codes), -width);
    const double clustered = std::max(0.0, static_cast<double>(entries) - by_chance);
    const double work = (static_cast<double>(entries) - clustered) * costs_.entry(chunk, radius_ - ones) +
                        clustered * costs_.near_entry();
    return static_cast<double>(size) * (costs_.bucket() + work / static_cast<double>(buckets));
  }

  // The least that a ring takes.
  double bound(int chunk, int ones) const { return costs_.bucket() * ring_size(tables_.widths[chunk], ones); }

 private:
  static constexpr int64_t kSamples = 8, kBuckets = 128;  // of a ring, which are looked at for one query
  static constexpr double kMaxRing = 8192;                // of a larger one the masks alone would take too long

  const HashTables& tables_;
  const HashWork& costs_;
  const QueryRows& rows_;
  ChunkFields fields_;
  int64_t num_queries_;
  int radius_;
  std::vector<Masks> masks_;
};

// Each step looks one bit further where that is cheapest, until the pigeonhole holds: the rings of a chunk grow, so the
// sum is the least there is. A ring costs at least its buckets; the rest is found out only of rings that may be next.
// It ends where it exceeds max_work.
ChunkRadii choose_radii(const HashTables& tables, const HashWork& costs, const QueryRows& rows, int64_t num_queries,
                        int radius, double max_work) {
  ChunkRadii chosen{std::vector<int>(tables.num_chunks, -1)};
  if (num_queries == 0) return chosen;
  RingWork ring_work(tables, costs, rows, num_queries, radius);
  std::vector<double> next(tables.num_chunks, ring_work.bound(0, 0));
  std::vector<bool> is_bound(tables.num_chunks, true);
  for (int step = 0; step <= radius && chosen.work <= max_work;) {
    const int c = static_cast<int>(std::min_element(next.begin(), next.end()) - next.begin());
    if (is_bound[c]) {
      next[c] = ring_work(c, chosen.radii[c] + 1);
      is_bound[c] = false;
      continue;
    }
    chosen.work += next[c];
    if (++chosen.radii[c] == tables.widths[c]) return chosen;  // every bucket of a chunk: all codes
    next[c] = ring_work.bound(c, chosen.radii[c] + 1);
    is_bound[c] = true;
    ++step;
  }
  return chosen;
}

std::vector<uint32_t> numbers(int64_t first, int64_t last) {
  std::vector<uint32_t> result;
  for (int64_t i = first; i < last; ++i) result.push_back(static_cast<uint32_t>(i));
  return result;
}

// How a search goes, once it is known what it reads.
struct RangePlan {
  RangePlan(const Codes& queries, const HashTables& tables, int radius, double max_work)
      : costs(tables, kKeep),
        rows(queries, tables),
        chosen(choose_radii(tables, costs, rows, queries.num_codes, radius, max_work)) {
    if (chosen.work > max_work) return;
    for (int c = 0; c < tables.num_chunks; ++c) masks.emplace_back(tables.widths[c]).extend_to(chosen.radii[c]);
  }

  static constexpr double kKeep = 8;

  HashWork costs;
  QueryRows rows;
  ChunkRadii chosen;
  std::vector<Masks> masks;
};

// Each code within the radius of a query goes once to add(query, position, distance) of make_sink(first), which is
// there for one group of queries, of which `first` is the first; then follows finish(). *done: whether no more than
// max_work was needed.
template <class MakeSink>
Status search_groups(const RangePlan& plan, int64_t num_queries, const HashTables& tables, int radius,
                     const uint8_t* allowed, double max_work, bool* done, int num_threads, MakeSink&& make_sink) {
  const Kernels& isa = kernels();
  const std::vector<int>& radii = plan.chosen.radii;
  std::atomic<bool> is_dear{false};
  const Status status = for_each_group(num_queries, num_threads, [&](int64_t first, int64_t last) {
    if (is_dear.load(std::memory_order_relaxed)) return;
    Probes probes(isa, tables, plan.costs, plan.rows, max_work * static_cast<double>(last - first),
                  std::numeric_limits<double>::infinity());
    const std::vector<uint32_t> group = numbers(first, last);
    auto sink = make_sink(first);
    for (int c = 0; c < tables.num_chunks; ++c) {
      const auto met_before = [&](uint32_t query, uint32_t row) {
        for (int other = 0; other < c; ++other) {
          if (probes.distance(query, row, other) <= radii[other]) return true;
        }
        return false;
      };
      probes.read(
          c, group, plan.masks[c], 0, radii[c], [&](uint32_t) { return radius; },
          [&](uint32_t query, uint32_t row, int distance) {
            if (met_before(query, row)) return;
            const uint32_t position = tables.ids[row];
            if (allowed == nullptr || allowed[position] != 0) sink.add(query, position, distance);
          });
      if (probes.is_spent()) {
        is_dear.store(true, std::memory_order_relaxed);
        return;
      }
    }
    sink.finish();
  });
  *done = !is_dear.load(std::memory_order_relaxed);
  return status;
}

// The finds of one group of queries: a few millions of them at most where there is a limit.
class GroupFinds {
 public:
  GroupFinds(SortedFinds& all, int64_t first_query) : all_(all), group_{first_query, {}} {}

  void add(int64_t query, uint32_t position, int distance) {
    group_.finds.push_back(SortedFinds::find(query - group_.first_query, distance, position));
    if (all_.max_results > 0 && static_cast<int64_t>(group_.finds.size()) >= most_) keep_nearest();
  }

  void finish() {
    keep_nearest();
    for (uint64_t find : group_.finds) ++count_of(find);
    all_.add(std::move(group_));
  }

 private:
  int64_t& count_of(uint64_t find) { return all_.counts[group_.first_query + SortedFinds::query_of(find)]; }

  // Sorts, and counts what is not kept.
  void keep_nearest() {
    std::vector<uint64_t>& finds = group_.finds;
    std::sort(finds.begin(), finds.end());
    if (all_.max_results == 0) return;
    size_t kept = 0;
    int64_t query = -1, rank = 0;
    for (uint64_t find : finds) {
      rank = SortedFinds::query_of(find) == query ? rank + 1 : 0;
      query = SortedFinds::query_of(find);
      if (rank < all_.max_results) {
        finds[kept++] = find;
      } else {
        ++count_of(find);
      }
    }
    finds.resize(kept);
    most_ = std::max(most_, 2 * static_cast<int64_t>(kept));
  }

  SortedFinds& all_;
  SortedFinds::Group group_;
  int64_t most_ = 1 << 20;
};

struct Counts {
  int64_t* counts;

  void add(int64_t query, uint32_t, int) const { ++counts[query]; }
  void finish() const {}
};

}  // namespace

Status range_search(const Codes& queries, const HashTables& tables, int radius, int64_t max_results,
                    const uint8_t* allowed, double max_work, bool* done, RangeFinds* finds, int num_threads) noexcept {
  return or_out_of_memory([&] {
    const RangePlan plan(queries, tables, radius, max_work);
    *done = plan.chosen.work <= max_work;
    if (!*done) return Status::kOk;
    auto state = std::make_unique<SortedFinds>(queries.num_codes, max_results);
    if (!*state) return Status::kOutOfMemory;
    std::fill(&state->counts[0], &state->counts[0] + queries.num_codes, 0);
    const Status status = search_groups(plan, queries.num_codes, tables, radius, allowed, max_work, done, num_threads,
                                        [&](int64_t first) { return GroupFinds(*state, first); });
    if (!*done) return status;
    state->set_offsets();
    finds->state = std::move(state);
    return status;
  });
}

Status range_count(const Codes& queries, const HashTables& tables, int radius, const uint8_t* allowed, double max_work,
                   bool* done, int64_t* counts, int num_threads) noexcept {
  return or_out_of_memory([&] {
    const RangePlan plan(queries, tables, radius, max_work);
    *done = plan.chosen.work <= max_work;
    if (!*done) return Status::kOk;
    std::fill(counts, counts + queries.num_codes, 0);
    return search_groups(plan, queries.num_codes, tables, radius, allowed, max_work, done, num_threads,
                         [&](int64_t) { return Counts{counts}; });
  });
}

}  // namespace hashkernels
