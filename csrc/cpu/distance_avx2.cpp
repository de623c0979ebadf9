// Popcount by two nibble look-ups in a register (vpshufb) and one sum of bytes (vpsadbw) per word: AVX2 has no vector
// popcount.
#include <immintrin.h>

#include "blocks.hpp"
#include "distance_kernels.hpp"

namespace hashkernels {

void hamming_block_avx2(const uint64_t* query, const uint64_t* block, int num_words, uint16_t* distances) {
  const __m256i nibble_counts = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,  //
                                                 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
  const __m256i low = _mm256_set1_epi8(15);
  // Sixteen sums of 64 bits, in four registers, become sixteen of 16 bits in one; packing works on halves of registers.
  const __m256i in_order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  for (int64_t i = 0; i < kBlockCodes; i += 16) {
    __m256i sums[4] = {};
    for (int word = 0; word < num_words; ++word) {
      const __m256i own = _mm256_set1_epi64x(static_cast<int64_t>(query[word]));
      const auto* codes = reinterpret_cast<const __m256i*>(block + word * kBlockCodes + i);
      for (int part = 0; part < 4; ++part) {
        const __m256i x = _mm256_xor_si256(_mm256_loadu_si256(codes + part), own);
        const __m256i bytes =
            _mm256_add_epi8(_mm256_shuffle_epi8(nibble_counts, _mm256_and_si256(x, low)),
                            _mm256_shuffle_epi8(nibble_counts, _mm256_and_si256(_mm256_srli_epi16(x, 4), low)));
        sums[part] = _mm256_add_epi64(sums[part], _mm256_sad_epu8(bytes, _mm256_setzero_si256()));
      }
    }
    const __m256i packed = _mm256_packus_epi32(_mm256_packus_epi32(sums[0], sums[1]),  //
                                               _mm256_packus_epi32(sums[2], sums[3]));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(distances + i), _mm256_permutevar8x32_epi32(packed, in_order));
  }
}

}  // namespace hashkernels
