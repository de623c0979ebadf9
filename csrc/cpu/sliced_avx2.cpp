// A full adder is five logic operations, of which AVX2 does three a cycle.
#include "sliced_avx2.hpp"

namespace hashkernels {

extern constexpr SlicedKernels kSlicedAvx2 = kSlicedKernels<Avx2>;

}  // namespace hashkernels
