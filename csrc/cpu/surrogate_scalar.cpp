#include "surrogate_impl.hpp"

namespace hashkernels {

extern constexpr SurrogateKernels<float> kSurrogateF32Scalar = surrogate_kernels<Shape<float, 16, 1, 1>>();
extern constexpr SurrogateKernels<double> kSurrogateF64Scalar = surrogate_kernels<Shape<double, 16, 1, 1>>();

}  // namespace hashkernels
