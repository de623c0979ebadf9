#include "hashkernels/fixed_sums.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "parallel.hpp"

namespace hashkernels {
namespace {

// Ties that a task goes through.
constexpr int64_t kTiesPerTask = 4096;

struct FixedSum {
  int64_t high, low;

  void add(double value) {
    constexpr int kLowBits = 30;
    const int64_t units = std::llrint(value * 0x1p60);
    high += units >> kLowBits;
    low += units & ((int64_t{1} << kLowBits) - 1);
  }
};

// Of one query.
void add_shares(const TieCounts& counts, int64_t query, bool unanswerable, FixedSum* precision, FixedSum* recall) {
  const int64_t* size = counts.size + query * counts.query_stride;
  const int64_t* positives = counts.positives + query * counts.query_stride;
  int64_t relevant = 0, items = 0, hits = 0;
  for (int64_t tie = 0; tie < counts.num_ties; ++tie) relevant += positives[tie * counts.tie_stride];
  if (relevant == 0 && !unanswerable) return;
  const double divisor = static_cast<double>(std::max<int64_t>(relevant, 1));
  for (int64_t tie = 0; tie < counts.num_ties; ++tie) {
    items += size[tie * counts.tie_stride];
    hits += positives[tie * counts.tie_stride];
    precision[tie].add(static_cast<double>(hits) / static_cast<double>(std::max<int64_t>(items, 1)));
    recall[tie].add(static_cast<double>(hits) / divisor);
  }
}

}  // namespace

void fixed_sums(const double* values, int64_t rows, int64_t columns, int64_t* high, int64_t* low) noexcept {
  for (int64_t row = 0; row < rows; ++row, values += columns) {
    FixedSum sum{};
    for (int64_t c = 0; c < columns; ++c) sum.add(values[c]);
    high[row] = sum.high;
    low[row] = sum.low;
  }
}

Status share_sums(const TieCounts& counts, bool unanswerable, int64_t* high, int64_t* low, int num_threads) noexcept {
  const int64_t num_sums = 2 * counts.num_ties, num_workers = std::max(num_threads, 1);
  Buffer<FixedSum> sums(num_workers * num_sums);  // of each worker
  if (!sums) return Status::kOutOfMemory;
  std::fill_n(sums.data(), num_workers * num_sums, FixedSum{});
  const int64_t queries = std::max<int64_t>(1, kTiesPerTask / std::max<int64_t>(counts.num_ties, 1));
  const Status status =
      parallel_for((counts.num_queries + queries - 1) / queries, num_threads, [&](int64_t task, int worker) {
        FixedSum* own = sums.data() + worker * num_sums;
        const int64_t last = std::min((task + 1) * queries, counts.num_queries);
        for (int64_t q = task * queries; q < last; ++q) {
          add_shares(counts, q, unanswerable, own, own + counts.num_ties);
        }
      });
  for (int64_t i = 0; i < num_sums; ++i) {
    high[i] = low[i] = 0;
    for (int64_t worker = 0; worker < num_workers; ++worker) {
      high[i] += sums[worker * num_sums + i].high;
      low[i] += sums[worker * num_sums + i].low;
    }
  }
  return status;
}

}  // namespace hashkernels
