// The Hamming distance matrix.
#pragma once

#include <cstdint>

#include "hashkernels/codes.h"
#include "hashkernels/status.h"

namespace hashkernels {

// out[q * database.num_codes + n] = number of bits in which query q and database code n differ.
// Both have the same num_bytes. T is uint8_t, int16_t or int32_t and must hold 8 * num_bytes (the caller sees to it, or
// knows that fewer bits can be set).
template <class T>
Status hamming_distance(const Codes& queries, const Codes& database, T* out, int num_threads) noexcept;

extern template Status hamming_distance<uint8_t>(const Codes&, const Codes&, uint8_t*, int) noexcept;
extern template Status hamming_distance<int16_t>(const Codes&, const Codes&, int16_t*, int) noexcept;
extern template Status hamming_distance<int32_t>(const Codes&, const Codes&, int32_t*, int) noexcept;

}  // namespace hashkernels
