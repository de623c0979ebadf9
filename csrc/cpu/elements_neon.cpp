#include "elements_impl.hpp"

namespace hashkernels {

extern constexpr ElementKernels<float> kElementsF32Neon = element_kernels<Shape<float, 16, 1, 1>>();
extern constexpr ElementKernels<double> kElementsF64Neon = element_kernels<Shape<double, 16, 1, 1>>();

}  // namespace hashkernels
