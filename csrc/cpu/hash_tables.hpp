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

// Where the chunks lie within a row, one after the other, and what the slots of each say.
class ChunkFields {
 public:
  explicit ChunkFields(const HashTables& tables)
      : row_bits_(32 - tag_bits(tables.num_codes)), tag_mask_((uint32_t{1} << tag_bits(tables.num_codes)) - 1) {
    int first_bit = 0;
    int64_t first_offset = 0;
    for (int c = 0; c < tables.num_chunks; ++c) {
      const int width = tables.widths[c];
      fields_.push_back(
          {first_offset, (uint32_t{1} << width) - 1, first_bit / 64, first_bit % 64, first_bit % 64 + width > 64});
      first_bit += width;
      first_offset += (int64_t{1} << width) + 1;
    }
  }

  int64_t first_offset(int chunk) const { return fields_[chunk].first_offset; }

  uint32_t key(const uint64_t* row, int chunk) const {
    const Field& field = fields_[chunk];
    uint64_t value = row[field.word] >> field.shift;
    if (field.is_split) value |= row[field.word + 1] << (64 - field.shift);
    return static_cast<uint32_t>(value) & field.mask;
  }

  uint32_t tag(const uint64_t* row, int chunk) const {
    return key(row, chunk + 1 < static_cast<int>(fields_.size()) ? chunk + 1 : 0) & tag_mask_;
  }
  uint32_t slot(const uint64_t* row, int64_t number, int chunk) const {
    return static_cast<uint32_t>(number) | tag(row, chunk) << row_bits_;
  }
  int tag_size() const { return 32 - row_bits_; }

 private:
  struct Field {
    int64_t first_offset;
    uint32_t mask;
    int word, shift;
    bool is_split;  // between two words
  };

  int row_bits_;
  uint32_t tag_mask_;
  std::vector<Field> fields_;
};

// The codes of one block with their bits in another order, as words; reordered: room for a block of planes.
void reorder_block(const Kernels& isa, const uint16_t* order, int num_bits, const uint64_t* planes, uint64_t* reordered,
                   uint64_t* words);

}  // namespace hashkernels
