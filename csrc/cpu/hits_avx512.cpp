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

}  // namespace hashkernels
