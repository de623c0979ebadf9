// A full adder is two vpternlog, of which two issue a cycle: 64 bits cost 33 loads and 69 operations for 512 codes.
#include "sliced_avx512.hpp"

namespace hashkernels {

extern constexpr SlicedKernels kSlicedAvx512 = kSlicedKernels<Avx512>;

}  // namespace hashkernels
