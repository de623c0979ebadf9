// The kernels of harmonic_kernels.hpp in loops that a compiler turns into vector instructions; everything here has
// internal linkage (see kernels.hpp).
//
// With x = a + 1/2 and y = a + k + 1/2, the digamma expansion at half-integers gives
//
//     H(a + k) - H(a) = log(y / x) + c(y) - c(x),
//     c(x) = 1/(24 x^2) - 7/(960 x^4) + 31/(8064 x^6) - 127/(30720 x^8) + ...
//
// and log(y / x) = 2 atanh((y - x) / (y + x)), whose argument is a quotient of two integers: the difference is found
// directly, so it keeps its relative accuracy where two prefix sums of a million terms would cancel.
#pragma once

#include <cstdint>

#include "counts_as_doubles.hpp"
#include "harmonic_kernels.hpp"

namespace hashkernels {
namespace {

constexpr double kLn2 = 0.6931471805599453;
constexpr double kSqrtHalf = 0.7071067811865476;
constexpr double kWide = 0.17157287525381;  // (sqrt(2) - 1) / (sqrt(2) + 1)

// z^9 .. z^0 of (atanh(t) - t) / t^3 with z = t^2 <= 0.0295; the next term is under 2^-57 of atanh(t).
constexpr double kAtanh[] = {1.0 / 21, 1.0 / 19, 1.0 / 17, 1.0 / 15, 1.0 / 13,
                             1.0 / 11, 1.0 / 9,  1.0 / 7,  1.0 / 5,  1.0 / 3};
constexpr double kHalfInteger[] = {-127.0 / 30720.0, 31.0 / 8064.0, -7.0 / 960.0, 1.0 / 24.0};

// Values that go through each step together, so that a step is a loop without branches.
constexpr int kChunk = 128;

double from_bits(int64_t bits) { return __builtin_bit_cast(double, bits); }
int64_t to_bits(double value) { return __builtin_bit_cast(int64_t, value); }

// Of an integer within 2^51 of zero.
double from_exponent(int64_t exponent) { return from_bits(exponent + to_bits(0x1.8p52)) - 0x1.8p52; }

template <int kTerms>
double polynomial(const double (&coefficients)[kTerms], double z) {
  double total = coefficients[0];
#pragma GCC unroll 16
  for (int i = 1; i < kTerms; ++i) total = total * z + coefficients[i];
  return total * z;
}

double half_integer_correction(double x) { return polynomial(kHalfInteger, 1.0 / (x * x)); }

// log(y / x) = shift ln 2 + 2 t + tail with abs(t) < 0.172, for positive x and y with a quotient that is no subnormal.
struct LogParts {
  double shift[kChunk], t[kChunk], tail[kChunk];

  void compute(int count, const double* x, const double* y) {
    int64_t any_wide = 0;
    for (int i = 0; i < count; ++i) {
      t[i] = (y[i] - x[i]) / (y[i] + x[i]);
      shift[i] = 0.0;
      any_wide |= __builtin_fabs(t[i]) > kWide ? 1 : 0;
    }
    if (any_wide != 0) scale(count, x, y);
    for (int i = 0; i < count; ++i) tail[i] = polynomial(kAtanh, t[i] * t[i]) * (2.0 * t[i]);
  }

  // Where t is wide, x is scaled by the power of two that brings y / x closest to 1.
  void scale(int count, const double* x, const double* y) {
    for (int i = 0; i < count; ++i) {
      const int64_t bits = to_bits(y[i] / x[i]), half = to_bits(0.5), fraction = (int64_t{1} << 52) - 1;
      const double mantissa = from_bits((bits & fraction) | half);
      int64_t exponent = static_cast<int64_t>(static_cast<uint64_t>(bits) >> 52) - (half >> 52);
      exponent -= mantissa < kSqrtHalf ? 1 : 0;
      exponent = __builtin_fabs(t[i]) > kWide ? exponent : 0;
      const double scaled = x[i] * from_bits((exponent << 52) + to_bits(1.0));
      t[i] = (y[i] - scaled) / (y[i] + scaled);
      shift[i] = from_exponent(exponent);
    }
  }
};

// harmonic_sums of up to kChunk values, each start at least 64 or its count 0.
void asymptotic_sums(int count, const double* start, const double* terms, double* reciprocal, double* ramp) {
  double x[kChunk], y[kChunk];
  for (int i = 0; i < count; ++i) {
    x[i] = start[i] + 0.5;
    y[i] = x[i] + terms[i];
  }
  LogParts log;
  log.compute(count, x, y);
  for (int i = 0; i < count; ++i) {
    const double tail = log.tail[i] + (half_integer_correction(y[i]) - half_integer_correction(x[i]));
    const double sum = 2.0 * log.t[i] + tail;
    const double shifted_sum = sum + log.shift[i] * kLn2;
    // terms - 2 (start + 1) t = t (terms - 1) exactly where nothing was shifted out, so the ramp needs no difference of
    // large numbers.
    const double plain = log.t[i] * (terms[i] - 1.0) - (start[i] + 1.0) * tail;
    const double shifted = terms[i] - (start[i] + 1.0) * shifted_sum;
    const bool is_plain = log.shift[i] == 0.0;
    reciprocal[i] = is_plain ? sum : shifted_sum;
    const double any_terms = is_plain ? plain : shifted;
    ramp[i] = terms[i] <= 1.0 ? 0.0 : any_terms;
  }
}

// harmonic_sums of up to kChunk values.
void chunk_of_sums(const int64_t* start, const int64_t* count, int size, const HarmonicTable& table, double* reciprocal,
                   double* ramp) {
  double far_start[kChunk], far_terms[kChunk];
  int64_t taken[kChunk];  // terms that the table has
  int64_t any_taken = 0;
  for (int i = 0; i < size; ++i) {
    const int64_t near = start[i] < table.size ? table.size - start[i] : 0;
    taken[i] = near < count[i] ? near : count[i];
    any_taken |= taken[i];
    far_start[i] = as_double(start[i] + taken[i]);
    far_terms[i] = as_double(count[i] - taken[i]);
  }
  asymptotic_sums(size, far_start, far_terms, reciprocal, ramp);
  if (any_taken == 0) return;
  for (int i = 0; i < size; ++i) {
    if (taken[i] == 0) continue;
    const int64_t at = start[i] * (table.size + 1) + taken[i];
    ramp[i] += static_cast<double>(taken[i]) * reciprocal[i];
    ramp[i] += table.ramp[at];
    reciprocal[i] += table.reciprocal[at];
  }
}

template <class Chunk>
void for_each_chunk(int64_t count, Chunk&& chunk) {
  for (int64_t first = 0; first < count; first += kChunk) {
    chunk(first, static_cast<int>(count - first < kChunk ? count - first : kChunk));
  }
}

void harmonic_sums_of(const int64_t* start, const int64_t* count, int64_t num_values, const HarmonicTable& table,
                      double* reciprocal, double* ramp) {
  for_each_chunk(num_values, [&](int64_t first, int size) {
    chunk_of_sums(start + first, count + first, size, table, reciprocal + first, ramp + first);
  });
}

void log2_of(const double* values, int64_t num_values, double* out) {
  double ones[kChunk];
  for (double& one : ones) one = 1.0;
  for_each_chunk(num_values, [&](int64_t first, int size) {
    LogParts log;
    log.compute(size, ones, values + first);
    for (int i = 0; i < size; ++i) out[first + i] = log.shift[i] + (2.0 * log.t[i] + log.tail[i]) * (1.0 / kLn2);
  });
}

// See tie_precision.h for the formulas.
void chunk_of_ties(const int64_t* before, const int64_t* positives_before, const int64_t* size,
                   const int64_t* positives, int count, const HarmonicTable& table, double* mean, double* least,
                   double* greatest) {
  double reciprocal[kChunk], ramp[kChunk];
  chunk_of_sums(before, size, count, table, reciprocal, ramp);
  for (int i = 0; i < count; ++i) {
    const double p = as_double(positives[i]), n = as_double(size[i]), next = as_double(positives_before[i] + 1);
    const double others = n - 1.0, repeat = (p - 1.0) / (others > 1.0 ? others : 1.0);
    mean[i] = p / n * (next * reciprocal[i] + repeat * ramp[i]);
  }
  const auto run = [&](const int64_t* start, double* out) {
    chunk_of_sums(start, positives, count, table, reciprocal, ramp);
    for (int i = 0; i < count; ++i) {
      const double sum = as_double(positives_before[i] + 1) * reciprocal[i] + ramp[i];
      out[i] = start[i] == positives_before[i] ? as_double(positives[i]) : sum;
    }
  };
  int64_t last_start[kChunk];  // where the relevant ones come last
  for (int i = 0; i < count; ++i) last_start[i] = before[i] + size[i] - positives[i];
  run(last_start, least);
  run(before, greatest);
  for (int i = 0; i < count; ++i) mean[i] = size[i] == positives[i] ? greatest[i] : mean[i];
}

void tie_precisions_of(const RelevantTies& ties, const HarmonicTable& table, double* mean, double* least,
                       double* greatest) {
  for_each_chunk(ties.count, [&](int64_t first, int count) {
    chunk_of_ties(ties.before + first, ties.positives_before + first, ties.size + first, ties.positives + first, count,
                  table, mean + first, least + first, greatest + first);
  });
}

constexpr double kNegligible = 0x1p-64;

// Of ties first .. first + count - 1; see hit_means.h.
void chunk_of_hit_means(const CutTies& ties, int64_t first, int count, double* means) {
  const double *size = ties.size + first, *positives = ties.positives + first, *slots = ties.slots + first;
  const double *before = ties.positives_before + first, *likeliest = ties.likeliest + first;
  const double *linear = ties.linear + first, *quadratic = ties.quadratic + first, *earlier = ties.earlier + first;
  const auto value = [&](int i, double h) {
    const double hits = before[i] + h;
    return (earlier[i] + h * (linear[i] + quadratic[i] * (h - 1.0))) / (hits > 1.0 ? hits : 1.0);
  };
  double hits[kChunk], weight[kChunk], sums[kChunk], weights[kChunk], rest[kChunk];
  for (int i = 0; i < count; ++i) {
    sums[i] = value(i, likeliest[i]);
    weights[i] = 1.0;
    rest[i] = size[i] - positives[i] - slots[i];
  }
  const auto go = [&](double step, auto&& ratio) {
    for (int i = 0; i < count; ++i) {
      hits[i] = likeliest[i];
      weight[i] = 1.0;
    }
    for (int64_t any = 1; any != 0;) {
      any = 0;
      for (int i = 0; i < count; ++i) {
        const double next = weight[i] * ratio(i, hits[i]);
        weight[i] = next < kNegligible ? 0.0 : next;
        hits[i] += step;
        sums[i] += weight[i] * value(i, hits[i]);
        weights[i] += weight[i];
        any |= weight[i] > 0.0 ? 1 : 0;
      }
    }
  };
  go(1.0, [&](int i, double h) { return ((positives[i] - h) * (slots[i] - h)) / ((h + 1.0) * (rest[i] + h + 1.0)); });
  go(-1.0, [&](int i, double h) { return (h * (rest[i] + h)) / ((positives[i] - h + 1.0) * (slots[i] - h + 1.0)); });
  for (int i = 0; i < count; ++i) means[i] = sums[i] / weights[i];
}

void hit_means_of(const CutTies& ties, double* means) {
  for_each_chunk(ties.count, [&](int64_t first, int count) { chunk_of_hit_means(ties, first, count, means + first); });
}

constexpr HarmonicKernels harmonic_kernels() { return {harmonic_sums_of, log2_of, tie_precisions_of, hit_means_of}; }

}  // namespace
}  // namespace hashkernels
