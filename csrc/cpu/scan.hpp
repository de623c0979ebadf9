// The scan under every search: finds, block after block, the codes below each query's threshold.
#pragma once

#include <cstdint>

#include "blocks.hpp"
#include "hits_kernels.hpp"
#include "kernels.hpp"
#include "parallel.hpp"

namespace hashkernels {

// The words of many queries, one after the other.
class QueryWords {
 public:
  explicit QueryWords(const Codes& queries);
  explicit operator bool() const { return static_cast<bool>(words_); }
  const uint64_t* operator[](int64_t query) const { return words_.data() + query * num_words_; }

 private:
  int num_words_;
  Buffer<uint64_t> words_;
};

// One block of the database: its codes word by word, and which of them may be found.
class BlockReader {
 public:
  // `allowed`: null, or one byte a code.
  BlockReader(const Codes& database, const uint8_t* allowed);
  explicit operator bool() const { return static_cast<bool>(words_); }

  // False when no code of the block may be found.
  bool load(int64_t block);
  const uint64_t* words() const { return current_; }
  const uint64_t* valid() const { return valid_; }

 private:
  Codes database_;
  const uint8_t* allowed_;
  Buffer<uint64_t> words_;
  const uint64_t* current_ = nullptr;
  uint64_t valid_[kHitWords];
};

// Calls visit(position, distance) for every valid code of the block below `threshold`, in order; visit returns the
// threshold that holds from then on.
template <class Visit>
void scan_block(const Kernels& isa, const uint64_t* query, const BlockReader& block, int num_words, int threshold,
                Visit&& visit) {
  alignas(64) uint16_t distances[kBlockCodes];
  alignas(64) uint64_t hits[kHitWords];
  isa.hamming_block(query, block.words(), num_words, distances);
  if (!isa.below(distances, threshold, hits)) return;
  for (int word = 0; word < kHitWords; ++word) {
    for (uint64_t rest = hits[word] & block.valid()[word]; rest != 0; rest &= rest - 1) {
      const int position = 64 * word + __builtin_ctzll(rest);
      if (distances[position] < threshold) threshold = visit(position, distances[position]);
    }
  }
}

}  // namespace hashkernels
