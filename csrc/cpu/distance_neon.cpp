// Byte popcounts (vcnt) widened pairwise to one count per 64-bit word.
#include <arm_neon.h>

#include "blocks.hpp"
#include "distance_kernels.hpp"

namespace hashkernels {

void hamming_block_neon(const uint64_t* query, const uint64_t* block, int num_words, uint16_t* distances) {
  for (int64_t i = 0; i < kBlockCodes; i += 2) {
    uint64x2_t sum = vdupq_n_u64(0);
    for (int word = 0; word < num_words; ++word) {
      const uint64x2_t x = veorq_u64(vld1q_u64(block + word * kBlockCodes + i), vdupq_n_u64(query[word]));
      sum = vpadalq_u32(sum, vpaddlq_u16(vpaddlq_u8(vcntq_u8(vreinterpretq_u8_u64(x)))));
    }
    distances[i] = static_cast<uint16_t>(vgetq_lane_u64(sum, 0));
    distances[i + 1] = static_cast<uint16_t>(vgetq_lane_u64(sum, 1));
  }
}

}  // namespace hashkernels
