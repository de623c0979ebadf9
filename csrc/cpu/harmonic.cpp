#include "hashkernels/harmonic.h"

#include "hashkernels/hit_means.h"
#include "kernels.hpp"

namespace hashkernels {

void harmonic_sums(const int64_t* start, const int64_t* count, int64_t num_values, const HarmonicTable& table,
                   double* reciprocal, double* ramp) noexcept {
  kernels().harmonic->harmonic_sums(start, count, num_values, table, reciprocal, ramp);
}

void log2_values(const double* values, int64_t num_values, double* out) noexcept {
  kernels().harmonic->log2_values(values, num_values, out);
}

void hit_means(const CutTies& ties, double* means) noexcept { kernels().harmonic->hit_means(ties, means); }

}  // namespace hashkernels
