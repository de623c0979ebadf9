// 12 accumulators, 2 loaded vectors and a broadcast in 16 registers.
#include "pairwise_tile.hpp"

namespace hashkernels {

void pairwise_f32_avx2(const PairwiseTile<float>& tile, const PairParameters<float>& parameters, double* sums) {
  pairwise_tile<Shape<float, 32, 6, 2>>(tile, parameters, sums);
}

void pairwise_f64_avx2(const PairwiseTile<double>& tile, const PairParameters<double>& parameters, double* sums) {
  pairwise_tile<Shape<double, 32, 6, 2>>(tile, parameters, sums);
}

}  // namespace hashkernels
