// Relevance of a query to a block, and precisions, in plain loops that the compiler vectorises for each
// instruction set.
#pragma once

#include "blocks.hpp"
#include "counting_kernels.hpp"
#include "counts_as_doubles.hpp"

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

inline PrecisionSum precisions(const RankedCodes& ranked, int64_t earlier, int64_t limit, uint64_t* __restrict out) {
  uint64_t sum = 0;
  int64_t within = 0, early = 0;
  for (int64_t i = 0; i < ranked.count; ++i) {
    const double rounded = as_double(ranked.hits[i]) / as_double(ranked.ranks[i]) * 0x1p40 + kUnit;
    const uint64_t precision = __builtin_bit_cast(uint64_t, rounded) & kFraction;
    const int64_t is_within = ranked.ranks[i] <= limit ? -1 : 0;
    out[i] = precision;
    sum += precision & static_cast<uint64_t>(is_within);
    within -= is_within;
    early += ranked.ranks[i] <= earlier ? 1 : 0;
  }
  return {sum, within, early};
}

}  // namespace
}  // namespace hashkernels
