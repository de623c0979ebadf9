// The mean of average precision over the hits where the cutoff runs through a tie, over all orders of the tie: the same
// bits on every machine (harmonic.h).
#pragma once

#include <cstdint>

namespace hashkernels {

// One double for each of `count` ties in each array, all of them whole numbers but for the last three: its items, the
// relevant ones of them, its places within the cutoff (one at least, all items at most), relevant items before it, and
// the likeliest number of hits among its places. With h of them, average precision is
// (earlier + h (linear + (h - 1) quadratic)) / max(positives_before + h, 1).
struct CutTies {
  const double *size, *positives, *slots, *positives_before, *likeliest, *linear, *quadratic, *earlier;
  int64_t count;
};

// h is hypergeometric: its weights follow from each other by a ratio, outwards from the likeliest, and count as long as
// they are at least 2^-64 of the largest one; from there they fall geometrically at least.
void hit_means(const CutTies& ties, double* means) noexcept;

}  // namespace hashkernels
