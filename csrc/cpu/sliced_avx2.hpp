// The registers of AVX2 for sliced_impl.hpp; only for files compiled with that set's flags.
#pragma once

#include <immintrin.h>

#include "sliced_impl.hpp"

namespace hashkernels {
namespace {

struct Avx2 {
  using Vector = uint64_t __attribute__((vector_size(32), may_alias));
  static constexpr bool kPrefetches = true;
  static HASHKERNELS_INLINE Vector parity(Vector a, Vector b, Vector c) { return a ^ b ^ c; }
  static HASHKERNELS_INLINE Vector majority(Vector a, Vector b, Vector c) { return (a & b) | ((a ^ b) & c); }
  // This form of the carry keeps fewer inputs alive, so that none is read from memory twice.
  static HASHKERNELS_INLINE void add(Vector a, Vector b, Vector c, Vector* sum, Vector* carry) {
    const Vector ab = a ^ b;
    *carry = ((a ^ c) & ab) ^ a;
    *sum = ab ^ c;
  }
  static HASHKERNELS_INLINE bool any(Vector v) {
    const __m256i x = (__m256i)v;
    return !_mm256_testz_si256(x, x);
  }
};

}  // namespace
}  // namespace hashkernels
