#include <immintrin.h>

#include "hits_kernels.hpp"

namespace hashkernels {
bool below_avx512(const uint16_t* distances, int threshold, uint64_t* hits) {
  const __m512i bound = _mm512_set1_epi16(static_cast<int16_t>(threshold));
  const auto below32 = [&](int i) { return _mm512_cmplt_epi16_mask(_mm512_loadu_si512(distances + i), bound); };
  uint64_t any = 0;
  for (int word = 0; word < kHitWords; ++word) {
    hits[word] = below32(64 * word) | static_cast<uint64_t>(below32(64 * word + 32)) << 32;
    any |= hits[word];
  }
  return any != 0;
}

int gather_hits_avx512(const HitQueue& queue, uint64_t* words, uint32_t* places) {
  const __m512i valid = _mm512_loadu_si512(queue.valid);
  const __m256i word_numbers = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  int count = 0;
  for (int entry = 0; entry < queue.num_entries; ++entry) {
    const __m512i hits = _mm512_and_si512(_mm512_loadu_si512(queue.hits + int64_t{entry} * kHitWords), valid);
    const __mmask8 nonzero = _mm512_test_epi64_mask(hits, hits);
    const __m256i place =
        _mm256_add_epi32(_mm256_set1_epi32(static_cast<int>(queue.who[entry] * kHitWords)), word_numbers);
    _mm512_storeu_si512(words + count, _mm512_maskz_compress_epi64(nonzero, hits));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(places + count), _mm256_maskz_compress_epi32(nonzero, place));
    count += __builtin_popcount(nonzero);
  }
  return count;
}

}  // namespace hashkernels
