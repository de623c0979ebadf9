#include "harmonic_impl.hpp"

namespace hashkernels {

extern constexpr HarmonicKernels kHarmonicScalar = harmonic_kernels();

}  // namespace hashkernels
