// 24 accumulators, 4 loaded vectors and a broadcast in 32 registers: 10 loads for 24 multiply-adds.
#include "pairwise_tile.hpp"

namespace hashkernels {

void pairwise_f32_avx512(const PairwiseTile<float>& tile, const PairParameters<float>& parameters, double* sums) {
  pairwise_tile<Shape<float, 64, 6, 4>>(tile, parameters, sums);
}

void pairwise_f64_avx512(const PairwiseTile<double>& tile, const PairParameters<double>& parameters, double* sums) {
  pairwise_tile<Shape<double, 64, 6, 4>>(tile, parameters, sums);
}

}  // namespace hashkernels
