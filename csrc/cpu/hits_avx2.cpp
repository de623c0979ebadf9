#include <immintrin.h>

#include "count_bytes_avx2.hpp"
#include "hits_impl.hpp"

namespace hashkernels {
namespace {

struct Avx2 {
  static int popcount(uint64_t x) { return __builtin_popcountll(x); }
};

// Four rows of at least a register: twice as fast as popcounts of words. The sums of a byte stay below 256, as no code
// is longer than 31 registers. What is left behind the last whole register is read as the end of a register of which
// the rest is masked out, so that nothing behind a row is touched.
void measure_four_rows(const uint64_t* query, const uint8_t* rows, int64_t stride, int num_bytes, uint16_t* distances) {
  static_assert(8 * kMaxBytes / 32 < 256);
  alignas(32) static constexpr uint8_t kMasks[64] = {
      0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,    //
      0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,    //
      255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,  //
      255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
  const auto* query_bytes = reinterpret_cast<const uint8_t*>(query);
  __m256i sums[4] = {};
  int byte = 0;
  for (; byte + 32 <= num_bytes; byte += 32) {
    const __m256i own = load(query_bytes + byte);
    for (int i = 0; i < 4; ++i) {
      sums[i] = _mm256_add_epi8(sums[i], count_bytes(_mm256_xor_si256(own, load(rows + i * stride + byte))));
    }
  }
  if (byte < num_bytes) {
    const __m256i own = load(query_bytes + num_bytes - 32), mask = load(kMasks + num_bytes - byte);
    for (int i = 0; i < 4; ++i) {
      const __m256i x = _mm256_xor_si256(own, load(rows + i * stride + num_bytes - 32));
      sums[i] = _mm256_add_epi8(sums[i], count_bytes(_mm256_and_si256(x, mask)));
    }
  }
  // Four quarters of each row's sum, 16 bits apart, so that all four rows are added up at once.
  __m256i quarters = _mm256_setzero_si256();
  for (int i = 3; i >= 0; --i) {
    quarters = _mm256_or_si256(_mm256_slli_epi64(quarters, 16), _mm256_sad_epu8(sums[i], _mm256_setzero_si256()));
  }
  const __m128i halves = _mm_add_epi64(_mm256_castsi256_si128(quarters), _mm256_extracti128_si256(quarters, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(distances), _mm_add_epi64(halves, _mm_unpackhi_epi64(halves, halves)));
}

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

void measure_rows_avx2(const uint64_t* query, const uint8_t* rows, int64_t stride, int num_bytes, int count,
                       uint16_t* distances) {
  int measured = 0;
  for (; num_bytes >= 32 && measured + 4 <= count; measured += 4) {
    measure_four_rows(query, rows + measured * stride, stride, num_bytes, distances + measured);
  }
  measure_rows<Avx2>(query, rows + measured * stride, stride, num_bytes, count - measured, distances + measured);
}

int nth_distance_avx2(const uint64_t* sums, int num_bounds, const uint64_t* valid, int64_t k) {
  return nth_distance<Avx2>(sums, num_bounds, valid, k);
}

void count_hits_avx2(const HitQueue& queue, int* counts) { count_hits<Avx2>(queue, counts); }

}  // namespace hashkernels
