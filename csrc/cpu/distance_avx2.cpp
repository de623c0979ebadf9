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
  for (int64_t i = 0; i < kBlockCodes; i += 4) {
    __m256i sum = _mm256_setzero_si256();
    for (int word = 0; word < num_words; ++word) {
      const __m256i codes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(block + word * kBlockCodes + i));
      const __m256i x = _mm256_xor_si256(codes, _mm256_set1_epi64x(static_cast<int64_t>(query[word])));
      const __m256i bytes =
          _mm256_add_epi8(_mm256_shuffle_epi8(nibble_counts, _mm256_and_si256(x, low)),
                          _mm256_shuffle_epi8(nibble_counts, _mm256_and_si256(_mm256_srli_epi16(x, 4), low)));
      sum = _mm256_add_epi64(sum, _mm256_sad_epu8(bytes, _mm256_setzero_si256()));
    }
    distances[i] = static_cast<uint16_t>(_mm256_extract_epi64(sum, 0));
    distances[i + 1] = static_cast<uint16_t>(_mm256_extract_epi64(sum, 1));
    distances[i + 2] = static_cast<uint16_t>(_mm256_extract_epi64(sum, 2));
    distances[i + 3] = static_cast<uint16_t>(_mm256_extract_epi64(sum, 3));
  }
}

}  // namespace hashkernels
