#include <immintrin.h>

#include "hits_impl.hpp"

namespace hashkernels {
namespace {

struct Avx512 {
  static unsigned nonzero(const uint64_t* hits, const uint64_t* valid, uint64_t* both) {
    const __m512i x = _mm512_and_si512(_mm512_loadu_si512(hits), _mm512_loadu_si512(valid));
    _mm512_store_si512(both, x);
    return _mm512_test_epi64_mask(x, x);
  }

  static int popcount(uint64_t x) { return __builtin_popcountll(x); }
};

}  // namespace

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

int list_hits_avx512(const HitQueue& queue, int first, int last, Hit* out, int* num_hits) {
  return list_hits<Avx512>(queue, first, last, out, num_hits);
}

}  // namespace hashkernels
