// Sums that no order of adding can change.
#pragma once

#include <cstdint>

namespace hashkernels {

// Of each row of values, in 0..1, the sum of its terms rounded (half to even) to integers in units of 2^-60; the halves
// of the terms, above and below 2^30, are added apart, so that 2^33 terms fit.
void fixed_sums(const double* values, int64_t rows, int64_t columns, int64_t* high, int64_t* low) noexcept;

}  // namespace hashkernels
