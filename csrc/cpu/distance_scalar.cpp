#include "blocks.hpp"
#include "distance_kernels.hpp"
#include "popcount_scalar.hpp"

namespace hashkernels {

void hamming_block_scalar(const uint64_t* query, const uint64_t* block, int num_words, uint16_t* distances) {
  for (int word = 0; word < num_words; ++word, block += kBlockCodes) {
    const uint64_t own = query[word];
#pragma GCC unroll 4
    for (int64_t i = 0; i < kBlockCodes; ++i) {
      distances[i] = static_cast<uint16_t>((word == 0 ? 0 : distances[i]) + count_bits(own ^ block[i]));
    }
  }
}

}  // namespace hashkernels
