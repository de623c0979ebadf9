#include "elements_impl.hpp"

namespace hashkernels {

extern constexpr ElementKernels<float> kElementsF32Avx2 = element_kernels<Shape<float, 32, 1, 1>>();
extern constexpr ElementKernels<double> kElementsF64Avx2 = element_kernels<Shape<double, 32, 1, 1>>();

}  // namespace hashkernels
