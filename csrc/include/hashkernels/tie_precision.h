// Precision summed over relevant ranks, over all orders of the items that tie.
#pragma once

#include <cstdint>

#include "hashkernels/harmonic.h"

namespace hashkernels {

// Each a matrix [rows + 1, columns]: row j is summed over the relevant ranks of the first j ties, as if with twice the
// precision and rounded once.
struct TiePrecision {
  double* mean;  // over all orders
  double* least;
  double* greatest;
};

// size, positives: [rows, columns], the items of each tie and those of them that are relevant; ties in rows, queries in
// columns. Of the p relevant ones of n items after N, P of them relevant, the mean is
//
//     (p / n) [(P + 1) A + m B],  m = (p - 1) / (n - 1),  A = sum of 1/(N + t), B = sum of (t - 1)/(N + t), t = 1..n
//
// (McSherry and Najork 2008), and p relevant items in a row from rank N + 1 on have (P + 1) A + B over t = 1..p: the
// greatest sum where they come first in the tie, the least where last.
void tie_precision_sums(const int64_t* size, const int64_t* positives, int64_t rows, int64_t columns,
                        const HarmonicTable& table, const TiePrecision& out) noexcept;

}  // namespace hashkernels
