#include "harmonic_impl.hpp"

namespace hashkernels {

extern constexpr HarmonicKernels kHarmonicAvx2 = harmonic_kernels();

}  // namespace hashkernels
