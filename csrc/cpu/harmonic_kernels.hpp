// Kernels under harmonic.h, tie_precision.h and hit_means.h. Every instruction set gives the same bits: only + - * /
// and selections, each rounded by itself, in one order.
#pragma once

#include <cstdint>

#include "hashkernels/harmonic.h"
#include "hashkernels/hit_means.h"

namespace hashkernels {

// Ties with something relevant, of any rankings, one array for each number: items and relevant items before the tie,
// and in it.
struct RelevantTies {
  const int64_t *before, *positives_before, *size, *positives;
  int64_t count;
};

struct HarmonicKernels {
  void (*harmonic_sums)(const int64_t* start, const int64_t* count, int64_t num_values, const HarmonicTable& table,
                        double* reciprocal, double* ramp);
  void (*log2_values)(const double* values, int64_t num_values, double* out);
  // Precision summed over the relevant ranks of each tie: over all orders the mean, the least and the greatest.
  void (*tie_precisions)(const RelevantTies& ties, const HarmonicTable& table, double* mean, double* least,
                         double* greatest);
  void (*hit_means)(const CutTies& ties, double* means);
};

extern const HarmonicKernels kHarmonicScalar, kHarmonicAvx2;

}  // namespace hashkernels
