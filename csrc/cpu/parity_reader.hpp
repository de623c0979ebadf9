// A database in blocks of which each holds codes of one parity: the number of bits set is even in all of them or odd in
// all.
//
// Two codes are an even distance apart if and only if they are of one parity. So all distances of a query to a block
// are even, or all are odd, and there are half as many to tell apart. Codes of one parity keep their order, and with
// them all codes at one distance of a query.
#pragma once

#include <cstdint>

#include "block_walks.hpp"
#include "blocks.hpp"
#include "hashkernels/counting.h"
#include "parallel.hpp"

namespace hashkernels {

inline int parity_of(const uint64_t* words, int num_words, int64_t stride = 1) {
  uint64_t all = 0;
  for (int w = 0; w < num_words; ++w) all ^= words[w * stride];
  return __builtin_parityll(all);
}

class ParityReader {
 public:
  // The blocks of a walk. labels without data: no label is read.
  ParityReader(const Codes& codes, Labels labels, BlockWalk& walk);
  explicit operator bool() const { return source_ && staged_ && block_; }

  // Reads a block; false where there is none left.
  bool next();

  int parity() const { return parity_; }
  int64_t size() const { return size_; }
  // Of codes as in blocks.hpp, and of labels in the same way; zeros past the size.
  const uint64_t* words() const { return block_.data(); }
  const uint64_t* labels() const { return block_.data() + num_words_ * kBlockCodes; }

 private:
  // Codes of a parity that wait for a block to be full: fewer than a block before one more is read.
  static constexpr int64_t kRoom = 2 * kBlockCodes;

  void stage();
  void take(int parity);

  const Codes codes_;
  const Labels label_source_;
  const int num_words_, num_columns_;  // of a code; with its labels
  BlockWalk& walk_;
  bool at_end_ = false;  // of the walk
  int64_t waiting_[2] = {}, size_ = 0;
  int parity_ = 0;
  Buffer<uint64_t> source_, staged_, block_;  // staged: [column][parity][kRoom]
};

}  // namespace hashkernels
