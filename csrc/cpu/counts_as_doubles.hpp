// Integers as doubles by operations that every instruction set has for vectors; everything here has internal linkage
// (see kernels.hpp).
#pragma once

#include <cstdint>

namespace hashkernels {
namespace {

// No double from 2^52 on has a fraction: adding that much rounds, half to even, and leaves the integer in the low bits.
inline constexpr double kUnit = 0x1p52;
inline constexpr uint64_t kUnitBits = 0x433uLL << 52, kFraction = (uint64_t{1} << 52) - 1;

// Of an integer in 0..2^52 - 1; no instruction set before AVX-512 converts vectors of them.
inline double as_double(int64_t value) { return __builtin_bit_cast(double, kUnitBits | value) - kUnit; }

}  // namespace
}  // namespace hashkernels
