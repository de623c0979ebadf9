// The form in which kernels read codes: blocks of kBlockCodes codes, word by word, so that one vector register holds
// the same word of neighbouring codes. Every width becomes whole 64-bit words; pad bytes are zero and never count.
#pragma once

#include <cstdint>

#include "hashkernels/codes.h"

namespace hashkernels {

inline constexpr int64_t kBlockCodes = 512;
inline constexpr int kMaxWords = kMaxBytes / 8;

// Blocks first .. last - 1.
struct BlockRange {
  int64_t first = 0, last = 0;

  int64_t size() const { return last - first; }
};

inline int words_per_code(int num_bytes) { return (num_bytes + 7) / 8; }
inline int64_t num_blocks(int64_t num_codes) { return (num_codes + kBlockCodes - 1) / kBlockCodes; }

// out[word * kBlockCodes + i] = word `word` of code first + i; codes past the end are zero.
void load_block(const Codes& codes, int64_t first, uint64_t* out);

// out[word] of one code.
void load_code(const uint8_t* code, int num_bytes, uint64_t* out);

}  // namespace hashkernels
