#include "blocks.hpp"
#include "distance_kernels.hpp"

namespace hashkernels {

void hamming_block_scalar(const uint64_t* query, const uint64_t* block, int num_words, uint16_t* distances) {
  for (int64_t i = 0; i < kBlockCodes; ++i) {
    int count = 0;
    for (int word = 0; word < num_words; ++word) {
      count += __builtin_popcountll(query[word] ^ block[word * kBlockCodes + i]);
    }
    distances[i] = static_cast<uint16_t>(count);
  }
}

}  // namespace hashkernels
