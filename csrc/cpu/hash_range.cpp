#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "finds.hpp"
#include "hash_probes.hpp"

namespace hashkernels {
namespace {

// How far to look in each chunk, and what that reads.
struct ChunkRadii {
  std::vector<int> radii;  // -1: not at all
  double work = 0;         // buckets and rows, a query
};

// What a ring of buckets costs, from a few of the queries.
class RingWork {
 public:
  RingWork(const HashTables& tables, const QueryRows& rows, int64_t num_queries)
      : tables_(tables), rows_(rows), fields_(tables), num_queries_(num_queries) {
    for (int c = 0; c < tables.num_chunks; ++c) masks_.emplace_back(tables.widths[c]);
  }

  static constexpr int64_t kSamples = 8;

  double operator()(int chunk, int ones) {
    constexpr double kMostToLookAt = 4096;
    const int width = tables_.widths[chunk];
    const double size = ring_size(width, ones);
    if (size > kMostToLookAt) {
      return size * (1 + static_cast<double>(tables_.num_codes) / static_cast<double>(int64_t{1} << width));
    }
    Masks& masks = masks_[chunk];
    masks.extend_to(ones);
    const uint32_t* starts = tables_.offsets + fields_.first_offset(chunk);
    const int64_t num_samples = std::min(num_queries_, kSamples);
    const auto for_each_bucket = [&](auto&& visit) {
      for (int64_t i = 0; i < num_samples; ++i) {
        const uint32_t key = fields_.key(rows_[i * num_queries_ / num_samples], chunk);
        for (int64_t j = 0; j < masks.ring_size(ones); ++j) visit(key ^ masks.ring(ones)[j]);
      }
    };
    int64_t work = 0;
    for_each_bucket([&](uint32_t bucket) { __builtin_prefetch(starts + bucket); });
    for_each_bucket([&](uint32_t bucket) { work += 1 + starts[bucket + 1] - starts[bucket]; });
    return static_cast<double>(work) / static_cast<double>(num_samples);
  }

 private:
  const HashTables& tables_;
  const QueryRows& rows_;
  ChunkFields fields_;
  int64_t num_queries_;
  std::vector<Masks> masks_;
};

// Each step looks one bit further where that is cheapest, until the pigeonhole holds: the rings of a chunk grow, so the
// sum is the least there is. A ring costs at least its buckets; the rest is found out only of rings that may be next.
ChunkRadii choose_radii(const HashTables& tables, const QueryRows& rows, int64_t num_queries, int radius) {
  ChunkRadii chosen{std::vector<int>(tables.num_chunks, -1)};
  if (num_queries == 0) return chosen;
  RingWork ring_work(tables, rows, num_queries);
  std::vector<double> next(tables.num_chunks, 1.0);
  std::vector<bool> is_bound(tables.num_chunks, true);
  for (int step = 0; step <= radius;) {
    const int c = static_cast<int>(std::min_element(next.begin(), next.end()) - next.begin());
    if (is_bound[c]) {
      next[c] = ring_work(c, chosen.radii[c] + 1);
      is_bound[c] = false;
      continue;
    }
    chosen.work += next[c];
    if (++chosen.radii[c] == tables.widths[c]) return chosen;  // every bucket of a chunk: all codes
    next[c] = ring_size(tables.widths[c], chosen.radii[c] + 1);
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

// Each code within the radius of a query goes once to add(query, position, distance) of what make_sink() returns, which
// is there for one group of queries; then follows finish().
template <class MakeSink>
Status search_groups(const Codes& queries, const HashTables& tables, int radius, const uint8_t* allowed,
                     int num_threads, MakeSink&& make_sink) {
  const Kernels& isa = kernels();
  const QueryRows rows(queries, tables);
  const ChunkRadii chosen = choose_radii(tables, rows, queries.num_codes, radius);
  std::vector<Masks> masks;
  for (int c = 0; c < tables.num_chunks; ++c) masks.emplace_back(tables.widths[c]).extend_to(chosen.radii[c]);
  return for_each_group(queries.num_codes, num_threads, [&](int64_t first, int64_t last) {
    Probes probes(isa, tables, rows);
    const std::vector<uint32_t> group = numbers(first, last);
    auto sink = make_sink();
    for (int c = 0; c < tables.num_chunks; ++c) {
      if (chosen.radii[c] < 0) continue;
      const auto met_before = [&](uint32_t query, uint32_t row) {
        for (int other = 0; other < c; ++other) {
          if (probes.distance(query, row, other) <= chosen.radii[other]) return true;
        }
        return false;
      };
      probes.read(c, group, masks[c].ring(0), masks[c].size_up_to(chosen.radii[c]),
                  [&](uint32_t query, uint32_t row, int distance) {
                    if (distance > radius || met_before(query, row)) return;
                    const uint32_t position = tables.ids[row];
                    if (allowed == nullptr || allowed[position] != 0) sink.add(query, position, distance);
                  });
    }
    sink.finish();
  });
}

struct Find {
  uint32_t query, position;
  uint16_t distance;
};

// The finds of one group of queries: a few millions of them at most where there is a limit.
class GroupFinds {
 public:
  explicit GroupFinds(RangeFinds::State& state) : state_(state) {}

  void add(uint32_t query, uint32_t position, int distance) {
    finds_.push_back({query, position, static_cast<uint16_t>(distance)});
    if (state_.max_results > 0 && static_cast<int64_t>(finds_.size()) >= most_) drop_farthest();
  }

  // All into the state, those of a query by position.
  void finish() {
    std::sort(finds_.begin(), finds_.end(), [](const Find& a, const Find& b) {
      return a.query != b.query ? a.query < b.query : a.position < b.position;
    });
    for (const Find& find : finds_) {
      if (!state_.at(find.query, 0).add(find.position, find.distance, state_.max_results)) throw std::bad_alloc();
    }
  }

 private:
  void drop_farthest() {
    std::sort(finds_.begin(), finds_.end(), [](const Find& a, const Find& b) {
      if (a.query != b.query) return a.query < b.query;
      return a.distance != b.distance ? a.distance < b.distance : a.position < b.position;
    });
    size_t kept = 0;
    int64_t rank = 0;
    for (size_t i = 0; i < finds_.size(); ++i) {
      const Find find = finds_[i];
      rank = i > 0 && kept > 0 && finds_[kept - 1].query == find.query ? rank + 1 : 0;
      if (rank < state_.max_results) {
        finds_[kept++] = find;
      } else {
        state_.at(find.query, 0).leave_out(1);
      }
    }
    finds_.resize(kept);
    most_ = std::max(most_, 2 * static_cast<int64_t>(kept));
  }

  RangeFinds::State& state_;
  std::vector<Find> finds_;
  int64_t most_ = 1 << 20;
};

struct Counts {
  int64_t* counts;

  void add(uint32_t query, uint32_t, int) const { ++counts[query]; }
  void finish() const {}
};

}  // namespace

Status range_search(const Codes& queries, const HashTables& tables, int radius, int64_t max_results,
                    const uint8_t* allowed, RangeFinds* finds, int num_threads) noexcept {
  return or_out_of_memory([&] {
    auto state = std::make_unique<RangeFinds::State>(queries.num_codes, 1, 0, 8 * tables.num_bytes, max_results);
    if (!*state) return Status::kOutOfMemory;
    const Status status =
        search_groups(queries, tables, radius, allowed, num_threads, [&] { return GroupFinds(*state); });
    state->finish();
    finds->state = std::move(state);
    return status;
  });
}

Status range_count(const Codes& queries, const HashTables& tables, int radius, const uint8_t* allowed, int64_t* counts,
                   int num_threads) noexcept {
  std::fill(counts, counts + queries.num_codes, 0);
  return or_out_of_memory(
      [&] { return search_groups(queries, tables, radius, allowed, num_threads, [&] { return Counts{counts}; }); });
}

double hash_range_work(const Codes& queries, const HashTables& tables, int radius) noexcept {
  try {
    Codes sample = queries;
    sample.num_codes = std::min(queries.num_codes, RingWork::kSamples);
    sample.stride *= queries.num_codes / std::max<int64_t>(sample.num_codes, 1);
    return choose_radii(tables, QueryRows(sample, tables), sample.num_codes, radius).work;
  } catch (const std::bad_alloc&) {
    return static_cast<double>(tables.num_codes) * tables.num_chunks;
  }
}

}  // namespace hashkernels
