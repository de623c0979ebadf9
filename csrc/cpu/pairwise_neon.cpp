// 24 accumulators, 4 loaded vectors and a broadcast in 32 registers.
#include "pairwise_tile.hpp"

namespace hashkernels {

void pairwise_f32_neon(const PairwiseTile<float>& tile, const PairParameters<float>& parameters, double* sums) {
  pairwise_tile<Shape<float, 16, 6, 4>>(tile, parameters, sums);
}

void pairwise_f64_neon(const PairwiseTile<double>& tile, const PairParameters<double>& parameters, double* sums) {
  pairwise_tile<Shape<double, 16, 6, 4>>(tile, parameters, sums);
}

}  // namespace hashkernels
