// Relevance of a query to a block, and precisions, in plain loops that the compiler vectorises for each
// instruction set.
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

// No double from 2^52 on has a fraction: adding that much rounds, half to even, and leaves the integer in the low bits.
inline constexpr double kUnit = 0x1p52;
inline constexpr uint64_t kUnitBits = 0x433uLL << 52, kFraction = (uint64_t{1} << 52) - 1;

// Of an integer in 0..2^52 - 1; no instruction set before AVX-512 converts vectors of them.
inline double as_double(int64_t value) { return __builtin_bit_cast(double, kUnitBits | value) - kUnit; }

inline void precisions(const RankedCodes& ranked, uint64_t* __restrict__ out) {
  for (int64_t i = 0; i < ranked.count; ++i) {
    const double rounded = as_double(ranked.hits[i]) / as_double(ranked.ranks[i]) * 0x1p40 + kUnit;
    out[i] = __builtin_bit_cast(uint64_t, rounded) & kFraction;
  }
}

}  // namespace
}  // namespace hashkernels
