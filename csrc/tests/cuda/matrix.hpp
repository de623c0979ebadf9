// Instructions without a name in CUDA C++, emulated. On tensor cores every lane brings what it holds, and takes its
// part of the result.
#pragma once

#include <cmath>
#include <cstring>

#include "emulator.hpp"

namespace emulator {

inline float bfloat16_to_float(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

inline uint16_t float_to_bfloat16(float value) {
  if (std::isnan(value)) return 0x7FFF;
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

inline uint32_t pack_bf16(float low, float high) {
  return float_to_bfloat16(low) | static_cast<uint32_t>(float_to_bfloat16(high)) << 16;
}

inline float float16_to_float(uint16_t bits) {
  const int exponent = bits >> 10 & 31, mantissa = bits & 0x3FF;
  const float sign = bits >> 15 != 0 ? -1.0f : 1.0f;
  if (exponent == 31) return mantissa != 0 ? NAN : sign * INFINITY;
  return sign * (exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25));
}

// The bfloat16 of a pair in a register, the low one first.
inline float half_of(uint32_t pair, int which) {
  return bfloat16_to_float(static_cast<uint16_t>(pair >> (16 * which)));
}

// No better than a device has to be.
inline double approximate_reciprocal(double value) {
  return std::bit_cast<double>(std::bit_cast<uint64_t>(1 / value) & ~uint64_t{0} << 34);
}

template <bool transposed>
void load_matrices(uint32_t (&out)[4], const uint16_t* row, const char* file = __builtin_FILE(),
                   int line = __builtin_LINE()) {
  if (reinterpret_cast<uintptr_t>(row) % 16 != 0) fail("a row of a matrix that is not aligned to 16 bytes");
  const auto& rows = block.exchange(Operation::kLoadMatrix, 0xFFFFFFFF, std::bit_cast<uint64_t>(row), file, line);
  const int r = block.lane() / 4, c = block.lane() % 4 * 2;
  for (int m = 0; m < 4; ++m) {
    const auto value = [&](int i, int j) -> uint32_t { return std::bit_cast<const uint16_t*>(rows[8 * m + i])[j]; };
    out[m] = transposed ? value(c, r) | value(c + 1, r) << 16 : value(r, c) | value(r, c + 1) << 16;
  }
}

inline void multiply_bf16(float (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1,
                          const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  struct Held {
    float a[8], b[4];
  };
  struct Slots {
    Held held[2];
    int next = 0;
  };
  // A lane writes to its other slot the next time, and comes back to this one when all lanes have been there.
  static std::array<Slots, 1024> threads;
  Slots& slots = threads[block.thread_index()];
  Held& held = slots.held[slots.next];
  slots.next = 1 - slots.next;
  for (int i = 0; i < 8; ++i) held.a[i] = half_of(a[i / 2], i % 2);
  for (int i = 0; i < 4; ++i) held.b[i] = half_of(i < 2 ? b0 : b1, i % 2);
  const auto& others = block.exchange(Operation::kMultiply, 0xFFFFFFFF, std::bit_cast<uint64_t>(&held), file, line);
  const auto lane = [&](int l) -> const Held& { return *std::bit_cast<const Held*>(others[l]); };
  const int r = block.lane() / 4, c = block.lane() % 4 * 2;
  for (int e = 0; e < 4; ++e) {
    const int row = r + 8 * (e / 2), column = c + e % 2;
    double sum = 0;
#pragma GCC unroll 16
    for (int k = 0; k < 16; ++k) {
      const float left = lane(row % 8 * 4 + k % 8 / 2).a[2 * (row / 8 + 2 * (k / 8)) + k % 2];
      const float right = lane(column * 4 + k % 8 / 2).b[2 * (k / 8) + k % 2];
      sum += static_cast<double>(left) * right;
    }
    sums[e] = static_cast<float>(sums[e] + sum);
  }
}

// sums += the bits that rows and columns have in common, by a warp, over 128 bits of which a lane brings 32.
inline void add_common_bits(int (&sums)[4], uint32_t upper, uint32_t lower, uint32_t column,
                            const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  // What an exchange returns is overwritten by the next one.
  const auto rows = block.exchange(Operation::kMultiply, 0xFFFFFFFF, uint64_t{lower} << 32 | upper, file, line);
  const auto columns = block.exchange(Operation::kMultiply, 0xFFFFFFFF, column, file, line);
  for (int e = 0; e < 4; ++e) {
    for (int word = 0; word < 4; ++word) {
      const uint64_t row = rows[block.lane() / 4 * 4 + word] >> (e < 2 ? 0 : 32);
      const uint64_t other = columns[(block.lane() % 4 * 2 + e % 2) * 4 + word];
      sums[e] += std::popcount(static_cast<uint32_t>(row & other));
    }
  }
}

}  // namespace emulator
