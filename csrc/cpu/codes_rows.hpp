// The walk over rows that every instruction set shares; everything here has internal linkage (see kernels.hpp).
//
// An instruction set brings two functions: positive64 turns 64 values into a mask, signs64 a mask into 64 signs.
#pragma once

#include <cstdint>

#include "codes_kernels.hpp"

namespace hashkernels {
namespace {

// Reverses the bits of every byte.
inline uint64_t reverse_bytes_bits(uint64_t x) {
  x = ((x >> 1) & 0x5555555555555555u) | ((x & 0x5555555555555555u) << 1);
  x = ((x >> 2) & 0x3333333333333333u) | ((x & 0x3333333333333333u) << 2);
  return ((x >> 4) & 0x0F0F0F0F0F0F0F0Fu) | ((x & 0x0F0F0F0F0F0F0F0Fu) << 4);
}

// Hardware prefetching ends with the page; this far ahead memory keeps up.
constexpr int64_t kPrefetchBytes = 4096;

// Isa::positive64<T>(values, infinity, &nan): bit i set where value i is positive; reads 64 values.
template <class Isa, class T, bool kLittle>
bool pack_rows_of(const PackRows& rows) {
  const T infinity = static_cast<T>(rows.infinity);
  uint64_t nan = 0;
  for (int64_t r = 0; r < rows.num_rows; ++r) {
    const uint8_t* values = rows.data + r * rows.row_stride;
    uint8_t* out = rows.out + r * rows.out_stride;
    int64_t c = 0;
    for (; c + 64 <= rows.bits; c += 64) {
      for (unsigned line = 0; line < sizeof(T); ++line) {
        __builtin_prefetch(values + c * sizeof(T) + kPrefetchBytes + 64 * line);
      }
      uint64_t mask = Isa::template positive64<T>(values + c * sizeof(T), infinity, &nan);
      if (!kLittle) mask = reverse_bytes_bits(mask);
      __builtin_memcpy(out + c / 8, &mask, 8);
    }
    if (c < rows.bits) {
      const int64_t rest = rows.bits - c;
      alignas(64) uint8_t padded[64 * sizeof(T)] = {};
      __builtin_memcpy(padded, values + c * sizeof(T), rest * sizeof(T));
      uint64_t mask = Isa::template positive64<T>(padded, infinity, &nan);
      if (!kLittle) mask = reverse_bytes_bits(mask);
      __builtin_memcpy(out + c / 8, &mask, (rest + 7) / 8);
    }
  }
  return nan != 0;
}

template <class Isa, class T>
bool pack_rows_of(const PackRows& rows) {
  return rows.little ? pack_rows_of<Isa, T, true>(rows) : pack_rows_of<Isa, T, false>(rows);
}

template <class Isa>
bool pack_rows(const PackRows& rows) {
  switch (rows.width) {
    case 1:
      return rows.is_unsigned ? pack_rows_of<Isa, uint8_t>(rows) : pack_rows_of<Isa, int8_t>(rows);
    case 2:
      return pack_rows_of<Isa, int16_t>(rows);
    case 4:
      return pack_rows_of<Isa, int32_t>(rows);
    default:
      return pack_rows_of<Isa, int64_t>(rows);
  }
}

// Isa::signs64(mask, out): out[i] = +1 where bit i is set, else -1.
template <class Isa>
void unpack_rows(const UnpackRows& rows) {
  for (int64_t r = 0; r < rows.num_rows; ++r) {
    const uint8_t* code = rows.data + r * rows.row_stride;
    int8_t* out = rows.out + r * rows.out_stride;
    for (int64_t c = 0; c < rows.bits; c += 64) {
      const int64_t count = rows.bits - c < 64 ? rows.bits - c : 64;
      uint64_t mask = 0;
      __builtin_memcpy(&mask, code + c / 8, (count + 7) / 8);
      if (!rows.little) mask = reverse_bytes_bits(mask);
      if (count == 64) {
        Isa::signs64(mask, out + c);
      } else {
        alignas(64) int8_t signs[64];
        Isa::signs64(mask, signs);
        __builtin_memcpy(out + c, signs, count);
      }
    }
  }
}

}  // namespace
}  // namespace hashkernels
