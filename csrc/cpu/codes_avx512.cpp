// Compares give masks outright; the pace is that of memory.
#include <immintrin.h>

#include "codes_rows.hpp"

namespace hashkernels {
namespace {

struct Avx512 {
  template <class T>
  static uint64_t positive64(const uint8_t* values, T infinity, uint64_t* nan) {
    constexpr int kLanes = 64 / sizeof(T);
    uint64_t mask = 0;
    for (int i = 0; i < static_cast<int>(sizeof(T)); ++i) {
      const __m512i x = _mm512_loadu_si512(values + 64 * i);
      uint64_t positive;
      if constexpr (static_cast<T>(-1) > 0) {
        positive = _mm512_test_epi8_mask(x, x);
      } else if constexpr (sizeof(T) == 1) {
        positive = _mm512_cmpgt_epi8_mask(x, _mm512_setzero_si512());
      } else {
        // Unsigned x - 1 < infinity holds exactly for 0 < x <= infinity.
        if constexpr (sizeof(T) == 2) {
          const __m512i bound = _mm512_set1_epi16(infinity);
          positive = _mm512_cmplt_epu16_mask(_mm512_add_epi16(x, _mm512_set1_epi16(-1)), bound);
          *nan |= _mm512_cmpgt_epu16_mask(_mm512_and_si512(x, _mm512_set1_epi16(INT16_MAX)), bound);
        } else if constexpr (sizeof(T) == 4) {
          const __m512i bound = _mm512_set1_epi32(infinity);
          positive = _mm512_cmplt_epu32_mask(_mm512_add_epi32(x, _mm512_set1_epi32(-1)), bound);
          *nan |= _mm512_cmpgt_epu32_mask(_mm512_and_si512(x, _mm512_set1_epi32(INT32_MAX)), bound);
        } else {
          const __m512i bound = _mm512_set1_epi64(infinity);
          positive = _mm512_cmplt_epu64_mask(_mm512_add_epi64(x, _mm512_set1_epi64(-1)), bound);
          *nan |= _mm512_cmpgt_epu64_mask(_mm512_and_si512(x, _mm512_set1_epi64(INT64_MAX)), bound);
        }
      }
      mask |= positive << (kLanes * i % 64);
    }
    return mask;
  }

  static void signs64(uint64_t mask, int8_t* out) {
    _mm512_storeu_si512(out, _mm512_mask_blend_epi8(mask, _mm512_set1_epi8(-1), _mm512_set1_epi8(1)));
  }
};

}  // namespace

bool pack_rows_avx512(const PackRows& rows) { return pack_rows<Avx512>(rows); }
void unpack_rows_avx512(const UnpackRows& rows) { unpack_rows<Avx512>(rows); }

}  // namespace hashkernels
