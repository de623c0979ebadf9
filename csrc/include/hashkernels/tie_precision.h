// Precision summed over relevant ranks, over all orders of the items that tie.
#pragma once

#include <cstdint>

#include "hashkernels/harmonic.h"
#include "hashkernels/status.h"
#include "hashkernels/tie_counts.h"

namespace hashkernels {

// Sums over the relevant ranks of the first ties, as if with twice the precision and rounded once. Of the p relevant
// ones of n items after N, P of them relevant, the mean over all orders is
//
//     (p / n) [(P + 1) A + m B],  m = (p - 1) / (n - 1),  A = sum of 1/(N + t), B = sum of (t - 1)/(N + t), t = 1..n
//
// (McSherry and Najork 2008), and p relevant items in a row from rank N + 1 on have (P + 1) A + B over t = 1..p: the
// greatest sum where they come first in the tie, the least where last. After relevant items alone (P = N) that is p,
// and a tie of relevant items alone has the same sum in every order: both exactly, so that a perfect ranking has
// precision 1.
//
// mean, least, greatest: [num_ties + 1, num_queries], row j summed over the first j ties.
Status tie_precision_sums(const TieCounts& counts, const HarmonicTable& table, double* mean, double* least,
                          double* greatest, int num_threads) noexcept;

// Where ascending cutoffs k >= 0 fall. The ties that end within the first k items are whole; `slots` items of the next
// one are within k. A cutoff beyond a ranking takes it whole.
//
// relevant: [num_queries], relevant items of the whole ranking.
// cuts: [num_cutoffs, 5, num_queries], slots, size and relevant items of the tie that is cut, items and relevant items
// before it; where no tie is cut slots and relevant items are 0 and the size is 1.
// sums: [num_cutoffs, 3, num_queries], mean, least and greatest sum over the whole ties.
Status cut_precision_sums(const TieCounts& counts, const int64_t* cutoffs, int64_t num_cutoffs,
                          const HarmonicTable& table, int64_t* relevant, int64_t* cuts, double* sums,
                          int num_threads) noexcept;

}  // namespace hashkernels
