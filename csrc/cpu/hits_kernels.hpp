// Hits: the codes of one block that lie below a threshold, as one bit a code (bit i % 64 of word i / 64 is code i).
#pragma once

#include <cstdint>

namespace hashkernels {

inline constexpr int kHitWords = 8;  // kBlockCodes / 64

// hits = the codes i with distances[i] < threshold; returns whether there is one.
using Below = bool (*)(const uint16_t* distances, int threshold, uint64_t* hits);
bool below_scalar(const uint16_t* distances, int threshold, uint64_t* hits);
bool below_avx2(const uint16_t* distances, int threshold, uint64_t* hits);
bool below_avx512(const uint16_t* distances, int threshold, uint64_t* hits);

}  // namespace hashkernels
