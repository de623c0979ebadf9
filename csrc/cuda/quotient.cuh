// Quotients of two counts, correctly rounded, without the function that a division of doubles calls.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "arch.cuh"

namespace hashkernels::cuda {

// Conversions share a unit with population counts; this is an addition.
__device__ __forceinline__ double to_double(uint32_t value) { return __hiloint2double(0x43300000, value) - 0x1p52; }

// a / b for 0 < a <= b. The inverse is within 2^-51 of its size, so the remainder of the guess is exact, and the sum
// before its rounding within 2^-102 of the quotient. That lies at least 2^-86 of its size away from everything halfway
// between two doubles: the difference is a multiple of 2^-54 / b that is not zero, for a number halfway has more bits
// than a.
__device__ __forceinline__ double quotient(uint32_t a, uint32_t b) {
  const double numerator = to_double(a);
  const double denominator = to_double(b);
  const double seed = arch::approximate_reciprocal(denominator);
  const double error = __fma_rn(-denominator, seed, 1.0);
  const double inverse = __fma_rn(seed, __fma_rn(error, error, error), seed);
  const double guess = numerator * inverse;
  return __fma_rn(__fma_rn(-denominator, guess, numerator), inverse, guess);
}

}  // namespace hashkernels::cuda
