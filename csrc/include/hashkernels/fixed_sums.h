// Sums that no order of adding can change: every term, in 0..1, is rounded (half to even) to an integer in units of
// 2^-60; the halves of the terms, above and below 2^30, are added apart, so that 2^33 terms fit.
#pragma once

#include <cstdint>

#include "hashkernels/status.h"
#include "hashkernels/tie_counts.h"

namespace hashkernels {

// The sum of each row of values.
void fixed_sums(const double* values, int64_t rows, int64_t columns, int64_t* high, int64_t* low) noexcept;

// Sums over queries of the precision (0 of no items) and the recall (0 where nothing is relevant) of the first 1, 2, ..
// num_ties ties: high, low [2, num_ties]. Without `unanswerable`, queries with nothing relevant are left out.
Status share_sums(const TieCounts& counts, bool unanswerable, int64_t* high, int64_t* low, int num_threads) noexcept;

}  // namespace hashkernels
