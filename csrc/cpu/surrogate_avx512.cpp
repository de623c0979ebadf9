#include "surrogate_impl.hpp"

namespace hashkernels {

extern constexpr SurrogateKernels<float> kSurrogateF32Avx512 = surrogate_kernels<Shape<float, 64, 1, 1>>();
extern constexpr SurrogateKernels<double> kSurrogateF64Avx512 = surrogate_kernels<Shape<double, 64, 1, 1>>();

}  // namespace hashkernels
