// A compare a register and one movemask; the pace is that of memory.
#include <immintrin.h>

#include "codes_rows.hpp"

namespace hashkernels {
namespace {

__m256i load(const uint8_t* from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); }

template <class T>
__m256i greater(__m256i a, __m256i b) {
  if constexpr (sizeof(T) == 1) return _mm256_cmpgt_epi8(a, b);
  if constexpr (sizeof(T) == 2) return _mm256_cmpgt_epi16(a, b);
  if constexpr (sizeof(T) == 4) return _mm256_cmpgt_epi32(a, b);
  return _mm256_cmpgt_epi64(a, b);
}

template <class T>
__m256i broadcast(T value) {
  if constexpr (sizeof(T) == 1) return _mm256_set1_epi8(static_cast<char>(value));
  if constexpr (sizeof(T) == 2) return _mm256_set1_epi16(value);
  if constexpr (sizeof(T) == 4) return _mm256_set1_epi32(value);
  return _mm256_set1_epi64x(value);
}

struct Avx2 {
  template <class T>
  static uint64_t positive64(const uint8_t* values, T infinity, uint64_t* nan) {
    const __m256i zero = _mm256_setzero_si256();
    if constexpr (static_cast<T>(-1) > 0) {
      const auto nonzero = [&](int i) {
        return ~static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(load(values + 32 * i), zero)));
      };
      return nonzero(0) | static_cast<uint64_t>(nonzero(1)) << 32;
    } else if constexpr (sizeof(T) == 1) {
      const auto positive = [&](int i) {
        return static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpgt_epi8(load(values + 32 * i), zero)));
      };
      return positive(0) | static_cast<uint64_t>(positive(1)) << 32;
    } else {
      const __m256i bound = broadcast<T>(infinity);
      const __m256i magnitude = broadcast<T>(static_cast<T>(~(uint64_t{1} << (8 * sizeof(T) - 1))));
      __m256i is_nan = zero;
      // A positive value's vector is all ones in its lane: (0 < x) and not (x > infinity).
      const auto positive = [&](int i) {
        const __m256i x = load(values + 32 * i);
        is_nan = _mm256_or_si256(is_nan, greater<T>(_mm256_and_si256(x, magnitude), bound));
        return _mm256_andnot_si256(greater<T>(x, bound), greater<T>(x, zero));
      };
      uint64_t mask = 0;
      constexpr int kVectors = 2 * sizeof(T);
      if constexpr (sizeof(T) == 2) {
        for (int i = 0; i < kVectors; i += 2) {
          const __m256i bytes =
              _mm256_permute4x64_epi64(_mm256_packs_epi16(positive(i), positive(i + 1)), _MM_SHUFFLE(3, 1, 2, 0));
          mask |= static_cast<uint64_t>(static_cast<uint32_t>(_mm256_movemask_epi8(bytes))) << (16 * i);
        }
      } else if constexpr (sizeof(T) == 4) {
        for (int i = 0; i < kVectors; ++i) {
          mask |= static_cast<uint64_t>(_mm256_movemask_ps(_mm256_castsi256_ps(positive(i)))) << (8 * i);
        }
      } else {
        for (int i = 0; i < kVectors; ++i) {
          mask |= static_cast<uint64_t>(_mm256_movemask_pd(_mm256_castsi256_pd(positive(i)))) << (4 * i);
        }
      }
      *nan |= static_cast<uint64_t>(!_mm256_testz_si256(is_nan, is_nan));
      return mask;
    }
  }

  static void signs64(uint64_t mask, int8_t* out) {
    const __m256i which = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201u));
    const __m256i spread = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1,  //
                                            2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
    for (int half = 0; half < 2; ++half) {
      const __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int>(mask >> (32 * half))), spread);
      const __m256i clear = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, which), _mm256_setzero_si256());
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 32 * half), _mm256_or_si256(clear, _mm256_set1_epi8(1)));
    }
  }
};

}  // namespace

bool pack_rows_avx2(const PackRows& rows) { return pack_rows<Avx2>(rows); }
void unpack_rows_avx2(const UnpackRows& rows) { unpack_rows<Avx2>(rows); }

}  // namespace hashkernels
