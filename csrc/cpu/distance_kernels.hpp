#pragma once

#include <cstdint>

namespace hashkernels {

void hamming_block_scalar(const uint64_t* query, const uint64_t* block, int num_words, uint16_t* distances);
void hamming_block_avx2(const uint64_t* query, const uint64_t* block, int num_words, uint16_t* distances);
void hamming_block_avx512(const uint64_t* query, const uint64_t* block, int num_words, uint16_t* distances);
void hamming_block_avx512_vpopcnt(const uint64_t* query, const uint64_t* block, int num_words, uint16_t* distances);
void hamming_block_neon(const uint64_t* query, const uint64_t* block, int num_words, uint16_t* distances);

}  // namespace hashkernels
