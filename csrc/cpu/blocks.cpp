#include "blocks.hpp"

#include <algorithm>
#include <cstring>

namespace hashkernels {

void load_code(const uint8_t* code, int num_bytes, uint64_t* out) {
  out[words_per_code(num_bytes) - 1] = 0;
  std::memcpy(out, code, num_bytes);
}

void load_block(const Codes& codes, int64_t first, uint64_t* out) {
  const int num_words = words_per_code(codes.num_bytes);
  const int64_t count = std::min(kBlockCodes, codes.num_codes - first);
  if (count < kBlockCodes) std::memset(out, 0, sizeof(uint64_t) * num_words * kBlockCodes);
  if (codes.num_bytes == 8 && codes.stride == 8) {
    std::memcpy(out, codes.row(first), 8 * count);
    return;
  }
  for (int word = 0; word < num_words; ++word) {
    const int size = std::min(8, codes.num_bytes - 8 * word);
    uint64_t* column = out + word * kBlockCodes;
    if (size == 8) {
      for (int64_t i = 0; i < count; ++i) std::memcpy(column + i, codes.row(first + i) + 8 * word, 8);
    } else {
      for (int64_t i = 0; i < count; ++i) {
        uint64_t value = 0;
        std::memcpy(&value, codes.row(first + i) + 8 * word, size);
        column[i] = value;
      }
    }
  }
}

}  // namespace hashkernels
