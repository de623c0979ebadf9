#include "hashkernels/tie_precision.h"

#include <algorithm>
#include <atomic>

#include "kernels.hpp"
#include "parallel.hpp"

namespace hashkernels {
namespace {

// Ties that a task goes through: their numbers stay in the second-level cache.
constexpr int64_t kTiesPerTask = 2048;

// A running sum: the error of each addition is found exactly and added up beside it (Knuth's TwoSum).
struct Compensated {
  double sum = 0.0, errors = 0.0;

  void add(double value) {
    const double before = sum, after = before + value, added = after - before;
    errors += (value - added) + (before - (after - added));
    sum = after;
  }
  double value() const { return sum + errors; }
};

struct Spread {
  Compensated mean, least, greatest;
};

// The ties of some queries, one query after the other, that hold something relevant, and the precision in each.
class TaskTies {
 public:
  TaskTies(const TieCounts& counts, int64_t first, int64_t last)
      : counts_(counts),
        first_(first),
        last_(last),
        capacity_((last - first) * counts.num_ties + 1),
        numbers_(4 * capacity_),
        values_(3 * capacity_) {}
  explicit operator bool() const { return numbers_ && values_; }

  // see(query, tie, before, positives_before, spread) ahead of every tie and, as tie num_ties, at the end of a query.
  template <class See>
  void walk(const Kernels& isa, const HarmonicTable& table, See&& see) {
    gather();
    double* mean = values_.data();
    isa.harmonic->tie_precisions({column(0), column(1), column(2), column(3), num_found_}, table, mean,
                                 mean + capacity_, mean + 2 * capacity_);
    for (int64_t q = first_; q < last_; ++q) {
      int64_t before = 0, positives_before = 0;
      Spread spread;
      for (int64_t tie = 0; tie < counts_.num_ties; ++tie) {
        see(q, tie, before, positives_before, spread);
        const int64_t at = q * counts_.query_stride + tie * counts_.tie_stride;
        before += counts_.size[at];
        positives_before += counts_.positives[at];
        if (counts_.positives[at] == 0) continue;
        spread.mean.add(mean[0]);
        spread.least.add(mean[capacity_]);
        spread.greatest.add(mean[2 * capacity_]);
        ++mean;
      }
      see(q, counts_.num_ties, before, positives_before, spread);
    }
  }

 private:
  int64_t* column(int number) { return numbers_.data() + number * capacity_; }

  // Noted first and counted then, without a branch that nobody could predict.
  void gather() {
    int64_t *befores = column(0), *positives_befores = column(1), *sizes = column(2), *positives = column(3);
    for (int64_t q = first_; q < last_; ++q) {
      int64_t before = 0, positives_before = 0;
      for (int64_t tie = 0; tie < counts_.num_ties; ++tie) {
        const int64_t at = q * counts_.query_stride + tie * counts_.tie_stride;
        befores[num_found_] = before;
        positives_befores[num_found_] = positives_before;
        before += sizes[num_found_] = counts_.size[at];
        positives_before += positives[num_found_] = counts_.positives[at];
        num_found_ += counts_.positives[at] != 0;
      }
    }
  }

  const TieCounts counts_;
  const int64_t first_, last_, capacity_;
  int64_t num_found_ = 0;
  Buffer<int64_t> numbers_;
  Buffer<double> values_;
};

template <class See>
Status for_all_ties(const TieCounts& counts, const HarmonicTable& table, int num_threads, See&& see) {
  const Kernels& isa = kernels();
  const int64_t queries = std::max<int64_t>(1, kTiesPerTask / std::max<int64_t>(counts.num_ties, 1));
  std::atomic<bool> out_of_memory{false};
  const Status status = parallel_for((counts.num_queries + queries - 1) / queries, num_threads, [&](int64_t task, int) {
    TaskTies ties(counts, task * queries, std::min((task + 1) * queries, counts.num_queries));
    if (ties) {
      ties.walk(isa, table, see);
    } else {
      out_of_memory = true;
    }
  });
  return status == Status::kOk && out_of_memory ? Status::kOutOfMemory : status;
}

}  // namespace

Status tie_precision_sums(const TieCounts& counts, const HarmonicTable& table, double* mean, double* least,
                          double* greatest, int num_threads) noexcept {
  return for_all_ties(counts, table, num_threads, [&](int64_t q, int64_t tie, int64_t, int64_t, const Spread& spread) {
    const int64_t at = tie * counts.num_queries + q;
    mean[at] = spread.mean.value();
    least[at] = spread.least.value();
    greatest[at] = spread.greatest.value();
  });
}

Status cut_precision_sums(const TieCounts& counts, const int64_t* cutoffs, int64_t num_cutoffs,
                          const HarmonicTable& table, int64_t* relevant, int64_t* cuts, double* sums,
                          int num_threads) noexcept {
  const int64_t num_queries = counts.num_queries;
  // relevant[q] holds the number of cutoffs that were passed until the end of the query.
  const auto see = [&](int64_t q, int64_t tie, int64_t before, int64_t positives_before, const Spread& spread) {
    int64_t& passed = relevant[q];
    if (tie == 0) passed = 0;
    const bool is_end = tie == counts.num_ties;
    const int64_t at = q * counts.query_stride + tie * counts.tie_stride;
    const int64_t size = is_end ? 0 : counts.size[at];
    for (; passed < num_cutoffs && (is_end || cutoffs[passed] < before + size); ++passed) {
      const int64_t slots = is_end ? 0 : cutoffs[passed] - before;
      int64_t* cut = cuts + passed * 5 * num_queries + q;
      cut[0] = slots;
      cut[num_queries] = slots == 0 ? 1 : size;
      cut[2 * num_queries] = slots == 0 ? 0 : counts.positives[at];
      cut[3 * num_queries] = before;
      cut[4 * num_queries] = positives_before;
      double* sum = sums + passed * 3 * num_queries + q;
      sum[0] = spread.mean.value();
      sum[num_queries] = spread.least.value();
      sum[2 * num_queries] = spread.greatest.value();
    }
    if (is_end) relevant[q] = positives_before;
  };
  return for_all_ties(counts, table, num_threads, see);
}

}  // namespace hashkernels
