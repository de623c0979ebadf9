// Without VPOPCNT: two table lookups count the bits of a byte, and the bytes of a word are summed.
#include "ranking_impl.hpp"
#include "sliced_avx512.hpp"

namespace hashkernels {
namespace {

struct Avx512Lookup : Avx512 {
  static HASHKERNELS_INLINE Vector popcount(Vector v) {
    const __m512i counts = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    const __m512i nibble = _mm512_set1_epi8(0x0F), x = (__m512i)v;
    const __m512i low = _mm512_shuffle_epi8(counts, _mm512_and_si512(x, nibble));
    const __m512i high = _mm512_shuffle_epi8(counts, _mm512_and_si512(_mm512_srli_epi16(x, 4), nibble));
    return (Vector)_mm512_sad_epu8(_mm512_add_epi8(low, high), _mm512_setzero_si512());
  }
};

}  // namespace

AddToHistograms select_histogram_avx512(int num_bytes, bool relevance) {
  return select_histogram<Avx512Lookup>(num_bytes, relevance);
}

void rank_relevant_avx512(const HistogramBlock& block, const HistogramQueries& queries, int64_t query, int64_t* before,
                          int64_t* hits, RankedCodes* ranked) {
  rank_relevant<Avx512Lookup>(block, queries, query, before, hits, ranked);
}

}  // namespace hashkernels
