// Harmonic sums and logarithms that come out the same on every machine: only + - * / and exact exponent shifts are
// used, never the mathematical library of the system, whose last bit differs from one machine to the next.
#pragma once

#include <cstdint>

namespace hashkernels {

// [a * (size + 1) + k]: the sums of 1/(a + t) and of (t - 1)/(a + t) for t = 1..k, a + k <= size, correctly rounded.
// Size 64 at least: beyond it the first term that the expansion leaves out is under 1e-20.
struct HarmonicTable {
  const double* reciprocal;
  const double* ramp;
  int size;
};

// reciprocal[i] = the sum of 1/(start[i] + t), ramp[i] = that of (t - 1)/(start[i] + t), over t = 1..count[i];
// start, count >= 0 and start + count < 2^51. Cost does not depend on how large they are.
void harmonic_sums(const int64_t* start, const int64_t* count, int64_t num_values, const HarmonicTable& table,
                   double* reciprocal, double* ramp) noexcept;

// out[i] = the base-2 logarithm of values[i], positive, to a few units in the last place.
void log2_values(const double* values, int64_t num_values, double* out) noexcept;

}  // namespace hashkernels
