#include "surrogate_impl.hpp"

namespace hashkernels {

extern constexpr SurrogateKernels<float> kSurrogateF32Avx2 = surrogate_kernels<Shape<float, 32, 1, 1>>();
extern constexpr SurrogateKernels<double> kSurrogateF64Avx2 = surrogate_kernels<Shape<double, 32, 1, 1>>();

}  // namespace hashkernels
