#include "hashkernels/tie_precision.h"

#include <algorithm>

namespace hashkernels {
namespace {

// Columns that go down the rows together.
constexpr int kColumns = 128;

// Running sums of some columns: the error of each addition is found exactly and added up beside it (Knuth's TwoSum).
struct Compensated {
  double sums[kColumns] = {}, errors[kColumns] = {};

  void add(int column, double value) {
    const double before = sums[column], after = before + value, added = after - before;
    errors[column] += (value - added) + (before - (after - added));
    sums[column] = after;
  }
  void write(int count, double* out) const {
    for (int c = 0; c < count; ++c) out[c] = sums[c] + errors[c];
  }
};

// The ties of one row that hold something relevant.
struct Ties {
  int columns[kColumns];
  int64_t before[kColumns], positives_before[kColumns];
  int64_t size[kColumns], positives[kColumns];
  int64_t last_run[kColumns];  // items before the relevant ones where those come last
  int count = 0;
};

struct Harmonic {
  double reciprocal[kColumns], ramp[kColumns];

  Harmonic(const int64_t* start, const int64_t* terms, int count, const HarmonicTable& table) {
    harmonic_sums(start, terms, count, table, reciprocal, ramp);
  }
};

void add_ties(const Ties& ties, const HarmonicTable& table, Compensated& mean, Compensated& least,
              Compensated& greatest) {
  const Harmonic all(ties.before, ties.size, ties.count, table);
  const Harmonic last(ties.last_run, ties.positives, ties.count, table);
  const Harmonic first(ties.before, ties.positives, ties.count, table);
  for (int i = 0; i < ties.count; ++i) {
    const double size = static_cast<double>(ties.size[i]), positives = static_cast<double>(ties.positives[i]);
    const double next = static_cast<double>(ties.positives_before[i] + 1);
    const double repeat = (positives - 1.0) / std::max(size - 1.0, 1.0);
    const int column = ties.columns[i];
    mean.add(column, positives / size * (next * all.reciprocal[i] + repeat * all.ramp[i]));
    least.add(column, next * last.reciprocal[i] + last.ramp[i]);
    greatest.add(column, next * first.reciprocal[i] + first.ramp[i]);
  }
}

}  // namespace

void tie_precision_sums(const int64_t* size, const int64_t* positives, int64_t rows, int64_t columns,
                        const HarmonicTable& table, const TiePrecision& out) noexcept {
  for (int64_t first = 0; first < columns; first += kColumns) {
    const int count = static_cast<int>(std::min<int64_t>(kColumns, columns - first));
    int64_t ends[kColumns] = {}, positive_ends[kColumns] = {};
    Compensated mean, least, greatest;
    for (int64_t row = 0; row <= rows; ++row) {
      const int64_t at = row * columns + first;
      mean.write(count, out.mean + at);
      least.write(count, out.least + at);
      greatest.write(count, out.greatest + at);
      if (row == rows) break;
      Ties ties;
      for (int c = 0; c < count; ++c) {
        const int64_t items = size[at + c], relevant = positives[at + c];
        ties.columns[ties.count] = c;
        ties.before[ties.count] = ends[c];
        ties.positives_before[ties.count] = positive_ends[c];
        ties.size[ties.count] = items;
        ties.positives[ties.count] = relevant;
        ties.last_run[ties.count] = ends[c] + items - relevant;
        ties.count += relevant != 0;
        ends[c] += items;
        positive_ends[c] += relevant;
      }
      add_ties(ties, table, mean, least, greatest);
    }
  }
}

}  // namespace hashkernels
