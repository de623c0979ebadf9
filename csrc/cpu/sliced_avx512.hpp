// The registers of AVX-512 for sliced_impl.hpp; only for files compiled with that set's flags.
#pragma once

#include <immintrin.h>

#include "sliced_impl.hpp"

namespace hashkernels {
namespace {

struct Avx512 {
  using Vector = uint64_t __attribute__((vector_size(64), may_alias));
  static HASHKERNELS_INLINE Vector parity(Vector a, Vector b, Vector c) {
    return (Vector)_mm512_ternarylogic_epi64((__m512i)a, (__m512i)b, (__m512i)c, 0x96);
  }
  static HASHKERNELS_INLINE Vector majority(Vector a, Vector b, Vector c) {
    return (Vector)_mm512_ternarylogic_epi64((__m512i)a, (__m512i)b, (__m512i)c, 0xE8);
  }
  // The carry out of the sum: where b and c are equal it is theirs, elsewhere it is what the sum is not. Both results
  // overwrite an input that nobody needs any more; the plain majority would cost a copy.
  static HASHKERNELS_INLINE void add(Vector a, Vector b, Vector c, Vector* sum, Vector* carry) {
    const Vector parity_abc = parity(a, b, c);
    *carry = (Vector)_mm512_ternarylogic_epi64((__m512i)b, (__m512i)parity_abc, (__m512i)c, 0xB2);
    *sum = parity_abc;
  }
  static HASHKERNELS_INLINE bool any(Vector v) { return _mm512_test_epi64_mask((__m512i)v, (__m512i)v) != 0; }
};

}  // namespace
}  // namespace hashkernels
