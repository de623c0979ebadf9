// Queries with their labels, and blocks of the database with theirs, as the counting passes read them.
#pragma once

#include <algorithm>
#include <cstdint>

#include "blocks.hpp"
#include "hashkernels/counting.h"
#include "kernels.hpp"
#include "parallel.hpp"

namespace hashkernels {

// Queries that one task takes through the database together: a block is transposed once for all of them.
inline constexpr int64_t kQueryGroup = 32;

class LabelledQueries {
 public:
  LabelledQueries(const Codes& codes, Labels labels);
  explicit operator bool() const { return static_cast<bool>(words_) && static_cast<bool>(labels_); }
  const uint64_t* words(int64_t query) const { return words_.data() + query * num_words_; }
  const uint64_t* label_words(int64_t query) const { return labels_.data() + query * label_stride_; }

 private:
  int num_words_;
  int64_t label_stride_;
  Buffer<uint64_t> words_, labels_;
};

// A query and the codes of a block.
struct Compared {
  alignas(64) uint16_t distances[kBlockCodes];
  alignas(64) uint8_t relevant[kBlockCodes];
};

// One block of the database: loaded once, then compared with each query of a group.
class LabelledBlock {
 public:
  LabelledBlock(const Codes& codes, Labels labels);
  explicit operator bool() const { return static_cast<bool>(words_) && static_cast<bool>(labels_); }

  void load(int64_t block);
  int64_t size() const { return size_; }

  void compare(const Kernels& isa, const LabelledQueries& queries, int64_t query, Compared& out) const;

 private:
  const Codes codes_;
  const Labels label_source_;
  const int num_words_;
  int64_t size_ = 0;
  Buffer<uint64_t> words_, labels_;
};

}  // namespace hashkernels
