// Registers of 16 bytes in plain C++: SSE2 and NEON come out of the compiler, and nothing is asked of the CPU.
#include "sliced_impl.hpp"

namespace hashkernels {
namespace {

struct Portable {
  using Vector = uint64_t __attribute__((vector_size(16), may_alias));
  static constexpr bool kPrefetches = true;
  static HASHKERNELS_INLINE Vector parity(Vector a, Vector b, Vector c) { return a ^ b ^ c; }
  static HASHKERNELS_INLINE Vector majority(Vector a, Vector b, Vector c) { return (a & b) | ((a ^ b) & c); }
  static HASHKERNELS_INLINE void add(Vector a, Vector b, Vector c, Vector* sum, Vector* carry) {
    *sum = parity(a, b, c);
    *carry = majority(a, b, c);
  }
  static HASHKERNELS_INLINE bool any(Vector v) { return (v[0] | v[1]) != 0; }
};

}  // namespace

extern constexpr SlicedKernels kSlicedScalar = kSlicedKernels<Portable>;

}  // namespace hashkernels
