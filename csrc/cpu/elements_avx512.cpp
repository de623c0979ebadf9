#include "elements_impl.hpp"

namespace hashkernels {

extern constexpr ElementKernels<float> kElementsF32Avx512 = element_kernels<Shape<float, 64, 1, 1>>();
extern constexpr ElementKernels<double> kElementsF64Avx512 = element_kernels<Shape<double, 64, 1, 1>>();

}  // namespace hashkernels
