// Precision at every relevant item, in (distance, index) order, without sorting.
//
// The codes and the relevant codes at each distance are counted where the caller does not know their number; running
// sums say where each distance begins in the order. A pass through the database by index then keeps, for each distance,
// the next rank and the relevant codes so far.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

#include "count_group.hpp"
#include "plane_blocks.hpp"

namespace hashkernels {
namespace {

__extension__ typedef unsigned __int128 uint128;

// What one query has counted so far.
struct QueryState {
  int64_t* rank;      // per distance: items before the next one at that distance
  int64_t* hits;      // per distance: relevant items before it
  uint128* sums;      // per cutoff: fixed-point precision of the relevant ranks in (previous cutoff, this cutoff]
  int64_t* cut_hits;  // per cutoff: relevant ranks in the same interval
};

// Counts per distance become the number of items before each distance.
void start_ranks(const QueryState& state, int64_t num_bins) {
  int64_t rank = 0, hits = 0;
  for (int64_t d = 0; d < num_bins; ++d) {
    const int64_t at = state.rank[d], relevant_at = state.hits[d];
    state.rank[d] = rank;
    state.hits[d] = hits;
    rank += at;
    hits += relevant_at;
  }
}

// Queries that are gone through together: a CPU waits for one counter of a query to be stored before it reads another,
// for all it knows the same.
constexpr int kTogether = 4;

// What is relevant is noted first, without a branch that nobody could predict.
template <int kQueries>
void note(const Compared* compared, int64_t size, const QueryState* states, RankedCodes* noted) {
  int64_t count[kQueries] = {};
  for (int64_t i = 0; i < size; ++i) {
#pragma GCC unroll 4
    for (int q = 0; q < kQueries; ++q) {
      const uint16_t distance = compared[q].distances[i];
      noted[q].ranks[count[q]] = ++states[q].rank[distance];
      noted[q].hits[count[q]] = distance;
      count[q] += compared[q].relevant[i];
    }
  }
  for (int q = 0; q < kQueries; ++q) {
    noted[q].count = count[q];
    for (int64_t i = 0; i < count[q]; ++i) noted[q].hits[i] = ++states[q].hits[noted[q].hits[i]];
  }
}

// Few blocks have a rank within any cutoff but the last: the others are added up in a plain loop.
void accumulate(const Kernels& isa, const RankedCodes& ranked, const int64_t* cutoffs, int num_cutoffs,
                const QueryState& state) {
  uint64_t precisions[kBlockCodes];
  const int last = num_cutoffs - 1;
  const int64_t limit = cutoffs[last], *ranks = ranked.ranks;
  const PrecisionSum within = isa.precisions(ranked, last == 0 ? 0 : cutoffs[last - 1], limit, precisions);
  if (within.early == 0) {  // at most kBlockCodes terms up to 2^40
    state.sums[last] += within.sum;
    state.cut_hits[last] += within.count;
    return;
  }
  for (int64_t i = 0; i < ranked.count; ++i) {
    if (ranks[i] > limit) continue;
    const int64_t cut = std::lower_bound(cutoffs, cutoffs + last, ranks[i]) - cutoffs;
    state.sums[cut] += precisions[i];
    ++state.cut_hits[cut];
  }
}

// What a group of queries has counted so far.
class GroupState {
 public:
  GroupState(int64_t num_queries, int64_t num_bins, int num_cutoffs)
      : num_queries_(num_queries),
        num_bins_(num_bins),
        num_cutoffs_(num_cutoffs),
        ranks_(num_queries * 2 * num_bins),
        cut_hits_(num_queries * num_cutoffs),
        sums_(num_queries * num_cutoffs) {
    if (!*this) return;
    std::memset(ranks_.data(), 0, sizeof(int64_t) * num_queries * 2 * num_bins);
    std::memset(cut_hits_.data(), 0, sizeof(int64_t) * num_queries * num_cutoffs);
    std::memset(sums_.data(), 0, sizeof(uint128) * num_queries * num_cutoffs);
  }
  explicit operator bool() const { return ranks_ && cut_hits_ && sums_; }

  int64_t* ranks() { return ranks_.data(); }
  int64_t* hits() { return ranks_.data() + num_queries_ * num_bins_; }  // right after the ranks
  QueryState operator[](int64_t query) {
    return {ranks() + query * num_bins_, hits() + query * num_bins_, sums_.data() + query * num_cutoffs_,
            cut_hits_.data() + query * num_cutoffs_};
  }

 private:
  const int64_t num_queries_, num_bins_;
  const int num_cutoffs_;
  Buffer<int64_t> ranks_, cut_hits_;
  Buffer<uint128> sums_;
};

// Both ways through the database, by index, of the queries of a task: take(ranked, state) for every block and query.
// False when out of memory.
template <class Take>
bool rank_by_code(const Kernels& isa, const LabelledQueries& labelled, const CountingTask& task, BlockWalk& walk,
                  GroupState& states, Take&& take) {
  LabelledBlock block(task.database, task.database_labels);
  if (!block) return false;
  Compared compared[kTogether];
  RankedCodes ranked[kTogether];
  for (int64_t b; walk.next(&b);) {
    block.load(b);
    for (int64_t q = task.first; q < task.last; q += kTogether) {
      const int together = static_cast<int>(std::min<int64_t>(kTogether, task.last - q));
      QueryState own[kTogether];
      for (int i = 0; i < together; ++i) {
        own[i] = states[q - task.first + i];
        block.compare(isa, labelled, q + i, compared[i]);
      }
      if (together == kTogether) {
        note<kTogether>(compared, block.size(), own, ranked);
      } else {
        for (int i = 0; i < together; ++i) note<1>(compared + i, block.size(), own + i, ranked + i);
      }
      for (int i = 0; i < together; ++i) take(ranked[i], own[i]);
    }
  }
  return true;
}

template <class Take>
bool rank_by_plane(const Kernels& isa, const CountingTask& task, BlockWalk& walk, GroupState& states, Take&& take) {
  PlaneBlocks blocks(isa, task, walk);
  if (!blocks) return false;
  const HistogramQueries queries = blocks.queries();
  RankedCodes ranked;
  HistogramBlock block;
  while (blocks.next(&block)) {
    for (int64_t q = 0; q < queries.num_queries; ++q) {
      const QueryState state = states[q];
      isa.rank_relevant(block, queries, q, state.rank, state.hits, &ranked);
      take(ranked, state);
    }
  }
  return true;
}

}  // namespace

Status index_order_sums(const Codes& queries, const Codes& database, Labels query_labels, Labels database_labels,
                        const RankStarts& starts, const int64_t* cutoffs, int num_cutoffs, int64_t* sums,
                        int num_threads) noexcept {
  const Kernels& isa = kernels();
  const int64_t num_bins = 8 * int64_t{queries.num_bytes} + 1;
  const LabelledQueries labelled(queries, query_labels);
  if (!labelled) return Status::kOutOfMemory;

  const bool by_plane = counts_by_plane(isa, queries);
  // Few queries make small groups, so that every thread has some.
  const int64_t group = by_plane ? queries_per_task(isa, queries, true, num_threads)
                                 : std::clamp<int64_t>(queries.num_codes / std::max(num_threads, 1), 1, kQueryGroup);
  std::atomic<bool> out_of_memory{false};
  const Status status = parallel_for((queries.num_codes + group - 1) / group, num_threads, [&](int64_t index, int) {
    const int64_t first = index * group, last = std::min(first + group, queries.num_codes);
    GroupState states(last - first, num_bins, num_cutoffs);
    if (!states) {
      out_of_memory = true;
      return;
    }
    const CountingTask task{.queries = queries,
                            .database = database,
                            .query_labels = query_labels,
                            .database_labels = database_labels,
                            .first = first,
                            .last = last,
                            .total = states.ranks(),
                            .relevant = states.hits()};
    const BlockRange all{0, num_blocks(database.num_codes)};
    BlockWalk counting(all), ranking(all);
    if (starts.ranks != nullptr) {
      std::copy_n(starts.ranks + first * num_bins, (last - first) * num_bins, states.ranks());
      std::copy_n(starts.hits + first * num_bins, (last - first) * num_bins, states.hits());
    } else if (count_group(isa, labelled, task, counting)) {
      for (int64_t q = 0; q < last - first; ++q) start_ranks(states[q], num_bins);
    } else {
      out_of_memory = true;
      return;
    }
    const auto take = [&](const RankedCodes& ranked, const QueryState& state) {
      accumulate(isa, ranked, cutoffs, num_cutoffs, state);
    };
    if (!(by_plane ? rank_by_plane(isa, task, ranking, states, take)
                   : rank_by_code(isa, labelled, task, ranking, states, take))) {
      out_of_memory = true;
      return;
    }

    for (int64_t q = first; q < last; ++q) {
      const QueryState s = states[q - first];
      uint128 sum = 0;
      int64_t relevant = 0;
      for (int c = 0; c < num_cutoffs; ++c) {
        sum += s.sums[c];
        relevant += s.cut_hits[c];
        int64_t* const at = sums + q * num_cutoffs + c;
        at[0] = relevant;
        at[queries.num_codes * num_cutoffs] = static_cast<int64_t>(sum >> 20);
        at[2 * queries.num_codes * num_cutoffs] = static_cast<int64_t>(sum & 0xFFFFF);
      }
    }
  });
  if (status == Status::kOk && out_of_memory) return Status::kOutOfMemory;
  return status;
}

}  // namespace hashkernels
