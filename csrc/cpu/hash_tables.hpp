// What building and searching hash tables share.
#pragma once

#include <cstdint>
#include <vector>

#include "blocks.hpp"
#include "hashkernels/hash_tables.h"
#include "kernels.hpp"
#include "parallel.hpp"

namespace hashkernels {

inline int popcount(uint64_t x) { return __builtin_popcountll(x); }

// Where the chunks lie within a row: one after the other.
class ChunkFields {
 public:
  explicit ChunkFields(const HashTables& tables) : shifts_(1, 0), firsts_(1, 0), masks_() {
    for (int c = 0; c < tables.num_chunks; ++c) {
      shifts_.push_back(shifts_[c] + tables.widths[c]);
      firsts_.push_back(firsts_[c] + (int64_t{1} << tables.widths[c]) + 1);
      masks_.push_back((uint32_t{1} << tables.widths[c]) - 1);
    }
  }

  int64_t first_offset(int chunk) const { return firsts_[chunk]; }

  uint32_t key(const uint64_t* row, int chunk) const {
    const int shift = shifts_[chunk] % 64;
    const uint64_t* word = row + shifts_[chunk] / 64;
    uint64_t value = word[0] >> shift;
    if (shift > 64 - kMaxChunkBits && shift + popcount(masks_[chunk]) > 64) value |= word[1] << (64 - shift);
    return static_cast<uint32_t>(value) & masks_[chunk];
  }

 private:
  std::vector<int> shifts_;
  std::vector<int64_t> firsts_;
  std::vector<uint32_t> masks_;
};

// The codes of one block with their bits in another order, as words; reordered: room for a block of planes.
void reorder_block(const Kernels& isa, const uint16_t* order, int num_bits, const uint64_t* planes, uint64_t* reordered,
                   uint64_t* words);

}  // namespace hashkernels
