#pragma once

#include <cstdint>

#include "blocks.hpp"

namespace hashkernels {

// relevant[i] = 1 where item i of a block has the query's class, else 0.
using RelevantIds = void (*)(int64_t query_id, const int64_t* block_ids, uint8_t* relevant);

// relevant[i] = 1 where item i shares a class bit with the query. Block labels lie word by word, like the codes of a
// block.
using RelevantBits = void (*)(const uint64_t* query_words, const uint64_t* block_words, int num_words,
                              uint8_t* relevant);

void relevant_ids_scalar(int64_t query_id, const int64_t* block_ids, uint8_t* relevant);
void relevant_ids_avx2(int64_t query_id, const int64_t* block_ids, uint8_t* relevant);
void relevant_ids_avx512(int64_t query_id, const int64_t* block_ids, uint8_t* relevant);
void relevant_ids_avx512_vpopcnt(int64_t query_id, const int64_t* block_ids, uint8_t* relevant);
void relevant_ids_neon(int64_t query_id, const int64_t* block_ids, uint8_t* relevant);

void relevant_bits_scalar(const uint64_t* query_words, const uint64_t* block_words, int num_words, uint8_t* relevant);
void relevant_bits_avx2(const uint64_t* query_words, const uint64_t* block_words, int num_words, uint8_t* relevant);
void relevant_bits_avx512(const uint64_t* query_words, const uint64_t* block_words, int num_words, uint8_t* relevant);
void relevant_bits_avx512_vpopcnt(const uint64_t* query_words, const uint64_t* block_words, int num_words,
                                  uint8_t* relevant);
void relevant_bits_neon(const uint64_t* query_words, const uint64_t* block_words, int num_words, uint8_t* relevant);

// The codes of a block that are relevant to a query, by index: their ranks from 1 in the order by (distance, index),
// and of how many relevant codes each is the last.
struct RankedCodes {
  int64_t ranks[kBlockCodes + 1];
  int64_t hits[kBlockCodes + 1];
  int64_t count;
};

// Of the ranks within a limit: the sum of their precisions and their number; and how many ranks come up to an earlier
// limit.
struct PrecisionSum {
  uint64_t sum;
  int64_t count, early;
};

// out[i] = hits[i] / ranks[i] as a correctly rounded double, rounded (half to even) to a multiple of 2^-40, in units of
// it.
using Precisions = PrecisionSum (*)(const RankedCodes& ranked, int64_t earlier, int64_t limit, uint64_t* out);
PrecisionSum precisions_scalar(const RankedCodes& ranked, int64_t earlier, int64_t limit, uint64_t* out);
PrecisionSum precisions_avx2(const RankedCodes& ranked, int64_t earlier, int64_t limit, uint64_t* out);
PrecisionSum precisions_avx512(const RankedCodes& ranked, int64_t earlier, int64_t limit, uint64_t* out);
PrecisionSum precisions_avx512_vpopcnt(const RankedCodes& ranked, int64_t earlier, int64_t limit, uint64_t* out);
PrecisionSum precisions_neon(const RankedCodes& ranked, int64_t earlier, int64_t limit, uint64_t* out);

}  // namespace hashkernels
