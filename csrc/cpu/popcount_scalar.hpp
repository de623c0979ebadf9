// Popcount where the CPU has no instruction for it, so that the compiler's own would be a call.
#pragma once

#include <cstdint>

namespace hashkernels {
namespace {

inline int count_bits(uint64_t x) {
  x -= (x >> 1) & 0x5555555555555555u;
  x = (x & 0x3333333333333333u) + ((x >> 2) & 0x3333333333333333u);
  return static_cast<int>((((x + (x >> 4)) & 0x0F0F0F0F0F0F0F0Fu) * 0x0101010101010101u) >> 56);
}

}  // namespace
}  // namespace hashkernels
