// Rows of many words by vpopcntq: eight rows at a time, whose sums are added up in one register.
#include <immintrin.h>

#include "hits_kernels.hpp"

namespace hashkernels {
namespace {

constexpr int kRows = 8;         // of which one register takes the distances
constexpr int kChunkBytes = 64;  // of a row, one register

inline __m512i differing(const uint8_t* row, __m512i query, __mmask64 bytes) {
  return _mm512_popcnt_epi64(_mm512_xor_si512(query, _mm512_maskz_loadu_epi8(bytes, row)));
}

// The sum of both words of each 16 bytes, of `a` in the first and of `b` in the second.
inline __m512i add_words(__m512i a, __m512i b) {
  return _mm512_add_epi64(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}

// The sum of each two neighbours among 16 bytes, of `a` in the lower half and of `b` in the upper.
inline __m512i add_neighbours(__m512i a, __m512i b) {
  return _mm512_add_epi64(_mm512_shuffle_i64x2(a, b, 0x88), _mm512_shuffle_i64x2(a, b, 0xDD));
}

}  // namespace

void measure_rows_avx512_vpopcnt(const uint64_t* query, const uint8_t* rows, int64_t stride, int num_bytes, int count,
                                 uint16_t* distances) {
  // Adding up registers costs as much as some five words one by one.
  if (num_bytes <= 5 * 8) return measure_rows_avx2(query, rows, stride, num_bytes, count, distances);
  const auto* query_bytes = reinterpret_cast<const uint8_t*>(query);
  for (int first = 0; first < count; first += kRows) {
    const int last = count - first < kRows ? count - first - 1 : kRows - 1;
    __m512i sums[kRows];
    for (__m512i& sum : sums) sum = _mm512_setzero_si512();
    for (int byte = 0; byte < num_bytes; byte += kChunkBytes) {
      const int left = num_bytes - byte;
      const __mmask64 bytes = left < kChunkBytes ? (uint64_t{1} << left) - 1 : ~uint64_t{0};
      const __m512i own = _mm512_maskz_loadu_epi8(bytes, query_bytes + byte);
      const uint8_t* row = rows + first * stride + byte;
#pragma GCC unroll 8
      for (int i = 0; i < kRows; ++i) {
        sums[i] = _mm512_add_epi64(sums[i], differing(row + (i < last ? i : last) * stride, own, bytes));
      }
    }
    const __m512i low = add_neighbours(add_words(sums[0], sums[1]), add_words(sums[2], sums[3]));
    const __m512i high = add_neighbours(add_words(sums[4], sums[5]), add_words(sums[6], sums[7]));
    _mm_mask_storeu_epi16(distances + first, static_cast<__mmask8>((2 << last) - 1),
                          _mm512_cvtepi64_epi16(add_neighbours(low, high)));
  }
}

}  // namespace hashkernels
