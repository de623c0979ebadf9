#include <immintrin.h>

#include "hits_impl.hpp"

namespace hashkernels {
namespace {

struct Avx2 {
  static int popcount(uint64_t x) { return __builtin_popcountll(x); }
};

}  // namespace

bool below_avx2(const uint16_t* distances, int threshold, uint64_t* hits) {
  const __m256i bound = _mm256_set1_epi16(static_cast<int16_t>(threshold));
  const auto below16 = [&](int i) {
    return _mm256_cmpgt_epi16(bound, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(distances + i)));
  };
  const auto below32 = [&](int i) {
    const __m256i bytes = _mm256_packs_epi16(below16(i), below16(i + 16));
    return static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_permute4x64_epi64(bytes, _MM_SHUFFLE(3, 1, 2, 0))));
  };
  uint64_t any = 0;
  for (int word = 0; word < kHitWords; ++word) {
    hits[word] = below32(64 * word) | static_cast<uint64_t>(below32(64 * word + 32)) << 32;
    any |= hits[word];
  }
  return any != 0;
}

int list_hits_avx2(const uint64_t* words, const uint32_t* places, int first, int last, const uint64_t* record_words,
                   const uint64_t* block, int num_words, Hit* out, int* num_hits) {
  return list_hits<Avx2>(words, places, first, last, record_words, block, num_words, out, num_hits);
}

void measure_candidates_avx2(const Candidate* candidates, int count, const uint64_t* queries, const uint64_t* rows,
                             int num_words, uint16_t* distances) {
  measure_candidates<Avx2>(candidates, count, queries, rows, num_words, distances);
}

void measure_rows_avx2(const uint64_t* query, const uint8_t* rows, int64_t stride, int num_bytes, int count,
                       uint16_t* distances) {
  measure_rows<Avx2>(query, rows, stride, num_bytes, count, distances);
}

void count_hits_avx2(const HitQueue& queue, int* counts) { count_hits<Avx2>(queue, counts); }

}  // namespace hashkernels
