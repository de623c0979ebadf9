// Precision at every relevant item, in (distance, index) order, without sorting.
//
// The histograms of a group of queries count the codes and the relevant codes at each distance; their running sums say
// where each distance begins in the order. A pass through the database by index then keeps, for each distance, the next
// rank and the relevant codes so far.
#include <atomic>
#include <cmath>
#include <cstring>

#include "count_group.hpp"

namespace hashkernels {
namespace {

__extension__ typedef unsigned __int128 uint128;

// hits / rank as an integer, in units of 2^-40, on top of kUnit: no double from 2^52 on has a fraction, so adding that
// much rounds, half to even, and leaves the integer in the low bits.
constexpr double kUnit = 0x1p52;

uint64_t fixed_point_precision(double hits, double rank) {
  const double rounded = hits / rank * 0x1p40 + kUnit;
  uint64_t bits;
  std::memcpy(&bits, &rounded, sizeof bits);
  return bits & ((uint64_t{1} << 52) - 1);
}

// What one query has counted so far.
struct QueryState {
  int64_t* rank;      // per distance: items before the next one at that distance
  int64_t* hits;      // per distance: relevant items before it
  uint128* sums;      // per cutoff: fixed-point precision of the relevant ranks in (previous cutoff, this cutoff]
  int64_t* cut_hits;  // per cutoff: relevant ranks in the same interval
};

// Counts per distance become the number of items before each distance.
void start_ranks(QueryState& state, int64_t num_bins) {
  int64_t rank = 0, hits = 0;
  for (int64_t d = 0; d < num_bins; ++d) {
    const int64_t at = state.rank[d], relevant_at = state.hits[d];
    state.rank[d] = rank;
    state.hits[d] = hits;
    rank += at;
    hits += relevant_at;
  }
}

// The relevant codes of a block.
struct Noted {
  int64_t ranks[kBlockCodes + 1];
  uint16_t distances[kBlockCodes + 1];
  int64_t count;
};

// Queries that are gone through together: a CPU waits for one counter of a query to be stored before it reads another,
// for all it knows the same.
constexpr int kTogether = 4;

// What is relevant is noted first, without a branch that nobody could predict.
template <int kQueries>
void note(const Compared* compared, int64_t size, const QueryState* states, Noted* noted) {
  int64_t count[kQueries] = {};
  for (int64_t i = 0; i < size; ++i) {
#pragma GCC unroll 4
    for (int q = 0; q < kQueries; ++q) {
      const uint16_t distance = compared[q].distances[i];
      noted[q].ranks[count[q]] = ++states[q].rank[distance];
      noted[q].distances[count[q]] = distance;
      count[q] += compared[q].relevant[i];
    }
  }
  for (int q = 0; q < kQueries; ++q) noted[q].count = count[q];
}

// Adds up what is noted. Few blocks have a rank within any cutoff but the last: the others are added up in a loop that
// vectorises.
void accumulate(const Noted& found, const int64_t* cutoffs, int num_cutoffs, QueryState& state) {
  const int64_t noted = found.count;
  const int64_t* ranks = found.ranks;
  const int64_t last = cutoffs[num_cutoffs - 1], before_last = num_cutoffs > 1 ? cutoffs[num_cutoffs - 2] : 0;
  double divisors[kBlockCodes], hits[kBlockCodes];
  int64_t least = last;
  for (int64_t i = 0; i < noted; ++i) {
    hits[i] = static_cast<double>(++state.hits[found.distances[i]]);
    divisors[i] = static_cast<double>(ranks[i]);
    least = std::min(least, ranks[i]);
  }
  if (least > before_last) {
    uint64_t sum = 0, within = 0;  // at most kBlockCodes terms up to 2^40
    const double limit = static_cast<double>(last);
    for (int64_t i = 0; i < noted; ++i) {
      const uint64_t counts = divisors[i] <= limit;
      sum += fixed_point_precision(hits[i], divisors[i]) & -counts;
      within += counts;
    }
    state.sums[num_cutoffs - 1] += sum;
    state.cut_hits[num_cutoffs - 1] += static_cast<int64_t>(within);
    return;
  }
  for (int64_t i = 0; i < noted; ++i) {
    const int64_t cut = std::lower_bound(cutoffs, cutoffs + num_cutoffs, ranks[i]) - cutoffs;
    if (cut == num_cutoffs) continue;
    state.sums[cut] += fixed_point_precision(hits[i], divisors[i]);
    ++state.cut_hits[cut];
  }
}

}  // namespace

Status index_order_precision(const Codes& queries, const Codes& database, Labels query_labels, Labels database_labels,
                             const int64_t* cutoffs, int num_cutoffs, int64_t* hits, double* precision_sum,
                             int num_threads) noexcept {
  const Kernels& isa = kernels();
  const int64_t num_bins = 8 * int64_t{queries.num_bytes} + 1;
  const LabelledQueries labelled(queries, query_labels);
  if (!labelled) return Status::kOutOfMemory;

  // Few queries make small groups, so that every thread has some.
  const int64_t group = std::clamp<int64_t>(queries.num_codes / std::max(num_threads, 1), 1, kQueryGroup);
  const int64_t blocks = num_blocks(database.num_codes);
  std::atomic<bool> out_of_memory{false};
  const Status status = parallel_for((queries.num_codes + group - 1) / group, num_threads, [&](int64_t task, int) {
    const int64_t first = task * group;
    const int64_t last = std::min(first + group, queries.num_codes);
    LabelledBlock block(database, database_labels);
    Compared compared[kTogether];
    Noted noted[kTogether];
    Buffer<int64_t> ranks(group * 2 * num_bins), cut_hits(group * num_cutoffs);
    Buffer<uint128> sums(group * num_cutoffs);
    if (!block || !ranks || !cut_hits || !sums) {
      out_of_memory = true;
      return;
    }
    std::memset(ranks.data(), 0, sizeof(int64_t) * group * 2 * num_bins);
    std::memset(cut_hits.data(), 0, sizeof(int64_t) * group * num_cutoffs);
    std::memset(sums.data(), 0, sizeof(uint128) * group * num_cutoffs);
    const auto state = [&](int64_t q) {
      int64_t* rank = ranks.data() + (q - first) * num_bins;
      return QueryState{rank, rank + group * num_bins, sums.data() + (q - first) * num_cutoffs,
                        cut_hits.data() + (q - first) * num_cutoffs};
    };
    const CountingTask histograms{.queries = queries,
                                  .database = database,
                                  .query_labels = query_labels,
                                  .database_labels = database_labels,
                                  .first = first,
                                  .last = last,
                                  .first_block = 0,
                                  .last_block = blocks,
                                  .total = ranks.data(),
                                  .relevant = ranks.data() + group * num_bins};
    if (!count_group(isa, labelled, histograms)) {
      out_of_memory = true;
      return;
    }
    for (int64_t q = first; q < last; ++q) {
      QueryState s = state(q);
      start_ranks(s, num_bins);
    }
    for (int64_t b = 0; b < blocks; ++b) {
      block.load(b);
      for (int64_t q = first; q < last; q += kTogether) {
        const int together = static_cast<int>(std::min<int64_t>(kTogether, last - q));
        QueryState states[kTogether];
        for (int i = 0; i < together; ++i) {
          states[i] = state(q + i);
          block.compare(isa, labelled, q + i, compared[i]);
        }
        if (together == kTogether) {
          note<kTogether>(compared, block.size(), states, noted);
        } else {
          for (int i = 0; i < together; ++i) note<1>(compared + i, block.size(), states + i, noted + i);
        }
        for (int i = 0; i < together; ++i) accumulate(noted[i], cutoffs, num_cutoffs, states[i]);
      }
    }

    for (int64_t q = first; q < last; ++q) {
      const QueryState s = state(q);
      uint128 sum = 0;
      int64_t relevant = 0;
      for (int c = 0; c < num_cutoffs; ++c) {
        sum += s.sums[c];
        relevant += s.cut_hits[c];
        hits[q * num_cutoffs + c] = relevant;
        precision_sum[q * num_cutoffs + c] = std::ldexp(static_cast<double>(sum), -40);
      }
    }
  });
  if (status == Status::kOk && out_of_memory) return Status::kOutOfMemory;
  return status;
}

}  // namespace hashkernels
