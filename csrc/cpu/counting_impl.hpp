// Relevance of a query to a block, in plain loops that the compiler vectorises for each instruction set.
#pragma once

#include "blocks.hpp"
#include "counting_kernels.hpp"

namespace hashkernels {
namespace {

inline void relevant_ids(int64_t query_id, const int64_t* __restrict__ block_ids, uint8_t* __restrict__ relevant) {
  for (int64_t i = 0; i < kBlockCodes; ++i) relevant[i] = block_ids[i] == query_id;
}

inline void relevant_bits(const uint64_t* __restrict__ query_words, const uint64_t* __restrict__ block_words,
                          int num_words, uint8_t* __restrict__ relevant) {
  uint64_t shared[kBlockCodes];
  for (int64_t i = 0; i < kBlockCodes; ++i) shared[i] = block_words[i] & query_words[0];
  for (int word = 1; word < num_words; ++word) {
    for (int64_t i = 0; i < kBlockCodes; ++i) shared[i] |= block_words[word * kBlockCodes + i] & query_words[word];
  }
  for (int64_t i = 0; i < kBlockCodes; ++i) relevant[i] = shared[i] != 0;
}

}  // namespace
}  // namespace hashkernels
