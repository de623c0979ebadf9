// Two table lookups count the bits of a byte, and the bytes of a word are summed.
#include "ranking_impl.hpp"
#include "sliced_avx2.hpp"

namespace hashkernels {
namespace {

// Nibbles are cut once for each group and each bucket, not for each pair of them.
template <>
struct BucketCount<Avx2> {
  using Vector = Avx2::Vector;
  struct Nibbles {
    __m256i low, high;
  };
  using Group = Nibbles;   // with other bits above each nibble
  using Bucket = Nibbles;  // with none

  static HASHKERNELS_INLINE Group group(Vector v) { return {(__m256i)v, _mm256_srli_epi16((__m256i)v, 4)}; }
  static HASHKERNELS_INLINE Bucket bucket(Vector v) {
    const __m256i nibble = _mm256_set1_epi8(0x0F);
    const Group wide = group(v);
    return {_mm256_and_si256(wide.low, nibble), _mm256_and_si256(wide.high, nibble)};
  }
  // Of both halves of a plane at once: a byte has 16 bits at the most.
  static HASHKERNELS_INLINE Vector of(const Group* groups, const Bucket* buckets) {
    __m256i bytes = _mm256_setzero_si256();
    for (int part = 0; part < kParts<Avx2>; ++part) {
      bytes = _mm256_add_epi8(bytes, count_bytes(groups[part], buckets[part]));
    }
    return (Vector)_mm256_sad_epu8(bytes, _mm256_setzero_si256());
  }
  static HASHKERNELS_INLINE Vector of_part(Group group, Bucket bucket) {
    return (Vector)_mm256_sad_epu8(count_bytes(group, bucket), _mm256_setzero_si256());
  }
  static HASHKERNELS_INLINE Vector intersect(Group group, Bucket bucket) {
    return (Vector)(group.low & (bucket.low | _mm256_slli_epi16(bucket.high, 4)));
  }
  static HASHKERNELS_INLINE __m256i count_bytes(Group group, Bucket bucket) {
    const __m256i counts = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    return _mm256_add_epi8(_mm256_shuffle_epi8(counts, _mm256_and_si256(group.low, bucket.low)),
                           _mm256_shuffle_epi8(counts, _mm256_and_si256(group.high, bucket.high)));
  }
};

}  // namespace

AddToHistograms select_histogram_avx2(int num_bytes, bool relevance) {
  return select_histogram<Avx2>(num_bytes, relevance);
}

void rank_relevant_avx2(const HistogramBlock& block, const HistogramQueries& queries, int64_t query, int64_t* before,
                        int64_t* hits, RankedCodes* ranked) {
  rank_relevant<Avx2>(block, queries, query, before, hits, ranked);
}

}  // namespace hashkernels
