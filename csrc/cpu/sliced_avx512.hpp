// The registers of AVX-512 for sliced_impl.hpp; only for files compiled with that set's flags.
#pragma once

#include <immintrin.h>

#include "sliced_impl.hpp"

namespace hashkernels {
namespace {

struct Avx512 {
  using Vector = uint64_t __attribute__((vector_size(64), may_alias));
  // These cores prefetch across pages by themselves; asking for it as well took twice as long on Zen 4.
  static constexpr bool kPrefetches = false;
  static HASHKERNELS_INLINE Vector parity(Vector a, Vector b, Vector c) {
    return (Vector)_mm512_ternarylogic_epi64((__m512i)a, (__m512i)b, (__m512i)c, 0x96);
  }
  static HASHKERNELS_INLINE Vector majority(Vector a, Vector b, Vector c) {
    return (Vector)_mm512_ternarylogic_epi64((__m512i)a, (__m512i)b, (__m512i)c, 0xE8);
  }
  // Neither waits for the other. A carry out of the sum would save a copy, which cores rename rather than make, and
  // took a seventh longer on Zen 4.
  static HASHKERNELS_INLINE void add(Vector a, Vector b, Vector c, Vector* sum, Vector* carry) {
    const Vector parity_abc = parity(a, b, c);
    *carry = majority(a, b, c);
    *sum = parity_abc;
  }
  static HASHKERNELS_INLINE bool any(Vector v) { return _mm512_test_epi64_mask((__m512i)v, (__m512i)v) != 0; }
};

}  // namespace
}  // namespace hashkernels
