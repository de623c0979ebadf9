#pragma once

#include <cstdint>

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

}  // namespace hashkernels
