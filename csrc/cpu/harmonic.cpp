// With x = a + 1/2 and y = a + k + 1/2, the digamma expansion at half-integers gives
//
//     H(a + k) - H(a) = log(y / x) + c(y) - c(x),
//     c(x) = 1/(24 x^2) - 7/(960 x^4) + 31/(8064 x^6) - 127/(30720 x^8) + ...
//
// and log(y / x) = 2 atanh((y - x) / (y + x)), whose argument is a quotient of two integers: the difference is found
// directly, so it keeps its relative accuracy where two prefix sums of a million terms would cancel.
#include "hashkernels/harmonic.h"

#include <algorithm>
#include <cmath>

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

template <int kTerms>
double polynomial(const double (&coefficients)[kTerms], double z) {
  double total = coefficients[0];
  for (int i = 1; i < kTerms; ++i) total = total * z + coefficients[i];
  return total * z;
}

double half_integer_correction(double x) { return polynomial(kHalfInteger, 1.0 / (x * x)); }

// log(y / x) = shift ln 2 + 2 t + tail with abs(t) < 0.172, for positive x and y.
struct LogParts {
  double shift[kChunk], t[kChunk], tail[kChunk];

  void compute(int count, const double* x, const double* y) {
    for (int i = 0; i < count; ++i) {
      t[i] = (y[i] - x[i]) / (y[i] + x[i]);
      shift[i] = 0.0;
    }
    for (int i = 0; i < count; ++i) {
      if (std::abs(t[i]) <= kWide) continue;
      int exponent;
      if (std::frexp(y[i] / x[i], &exponent) < kSqrtHalf) --exponent;
      const double scaled = std::ldexp(x[i], exponent);
      t[i] = (y[i] - scaled) / (y[i] + scaled);
      shift[i] = exponent;
    }
    for (int i = 0; i < count; ++i) tail[i] = polynomial(kAtanh, t[i] * t[i]) * (2.0 * t[i]);
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
    ramp[i] = terms[i] <= 1.0 ? 0.0 : is_plain ? plain : shifted;
  }
}

}  // namespace

void harmonic_sums(const int64_t* start, const int64_t* count, int64_t num_values, const HarmonicTable& table,
                   double* reciprocal, double* ramp) noexcept {
  double far_start[kChunk], far_terms[kChunk];
  int taken[kChunk];  // terms that the table has
  for (int64_t first = 0; first < num_values; first += kChunk) {
    const int size = static_cast<int>(std::min<int64_t>(kChunk, num_values - first));
    for (int i = 0; i < size; ++i) {
      const int64_t near = std::max<int64_t>(table.size - start[first + i], 0);
      taken[i] = static_cast<int>(std::min(near, count[first + i]));
      far_start[i] = static_cast<double>(start[first + i] + taken[i]);
      far_terms[i] = static_cast<double>(count[first + i] - taken[i]);
    }
    double* sums = reciprocal + first;
    double* ramps = ramp + first;
    asymptotic_sums(size, far_start, far_terms, sums, ramps);
    for (int i = 0; i < size; ++i) {
      if (taken[i] == 0) continue;
      const int64_t at = start[first + i] * (table.size + 1) + taken[i];
      ramps[i] += taken[i] * sums[i];
      ramps[i] += table.ramp[at];
      sums[i] += table.reciprocal[at];
    }
  }
}

void log2_values(const double* values, int64_t num_values, double* out) noexcept {
  double ones[kChunk];
  std::fill_n(ones, kChunk, 1.0);
  LogParts log;
  for (int64_t first = 0; first < num_values; first += kChunk) {
    const int size = static_cast<int>(std::min<int64_t>(kChunk, num_values - first));
    log.compute(size, ones, values + first);
    for (int i = 0; i < size; ++i) out[first + i] = log.shift[i] + (2.0 * log.t[i] + log.tail[i]) * (1.0 / kLn2);
  }
}

}  // namespace hashkernels
