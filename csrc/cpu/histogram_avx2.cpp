// Two table lookups count the bits of a byte, and the bytes of a word are summed.
#include "histogram_impl.hpp"
#include "sliced_avx2.hpp"

namespace hashkernels {
namespace {

struct Avx2Lookup : Avx2 {
  static HASHKERNELS_INLINE Vector popcount(Vector v) {
    const __m256i counts = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    const __m256i nibble = _mm256_set1_epi8(0x0F), x = (__m256i)v;
    const __m256i low = _mm256_shuffle_epi8(counts, _mm256_and_si256(x, nibble));
    const __m256i high = _mm256_shuffle_epi8(counts, _mm256_and_si256(_mm256_srli_epi16(x, 4), nibble));
    return (Vector)_mm256_sad_epu8(_mm256_add_epi8(low, high), _mm256_setzero_si256());
  }
};

}  // namespace

AddToHistograms select_histogram_avx2(int num_bytes) { return select_histogram<Avx2Lookup>(num_bytes); }

}  // namespace hashkernels
