// Vectors of 16 bytes, in whatever the baseline of the CPU offers for them; no fused multiply-add on x86-64, so a
// product needs a register of its own.
#include "pairwise_tile.hpp"

namespace hashkernels {

void pairwise_f32_scalar(const PairwiseTile<float>& tile, const PairParameters<float>& parameters, double* sums) {
  pairwise_tile<Shape<float, 16, 4, 2>>(tile, parameters, sums);
}

void pairwise_f64_scalar(const PairwiseTile<double>& tile, const PairParameters<double>& parameters, double* sums) {
  pairwise_tile<Shape<double, 16, 4, 2>>(tile, parameters, sums);
}

}  // namespace hashkernels
