// One vpopcntq, one xor and one add per eight words.
#include <immintrin.h>

#include "blocks.hpp"
#include "distance_kernels.hpp"

namespace hashkernels {

void hamming_block_avx512_vpopcnt(const uint64_t* query, const uint64_t* block, int num_words, uint16_t* distances) {
  for (int64_t i = 0; i < kBlockCodes; i += 8) {
    __m512i sum = _mm512_setzero_si512();
    for (int word = 0; word < num_words; ++word) {
      const __m512i x = _mm512_xor_si512(_mm512_loadu_si512(block + word * kBlockCodes + i),
                                         _mm512_set1_epi64(static_cast<int64_t>(query[word])));
      sum = _mm512_add_epi64(sum, _mm512_popcnt_epi64(x));
    }
    _mm_storeu_si128(reinterpret_cast<__m128i*>(distances + i), _mm512_cvtepi64_epi16(sum));
  }
}

}  // namespace hashkernels
