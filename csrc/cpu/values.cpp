#include "hashkernels/values.h"

#include <algorithm>
#include <bit>

namespace hashkernels {
namespace {

// By the bits of the values, which vector instructions compare without a word about the order of floating-point
// operations. A value is not finite if all bits of its exponent are set.
template <class Bits, class T>
bool no_exponent_is(Bits exponent, const T* values, int64_t count) {
  Bits found = 0;
  for (int64_t i = 0; i < count; ++i) found |= (std::bit_cast<Bits>(values[i]) & exponent) == exponent ? ~Bits{0} : 0;
  return found == 0;
}

template <class T>
void multiply(const T* values, T factor, int64_t count, T* out) {
  for (int64_t i = 0; i < count; ++i) out[i] = factor * values[i];
}

}  // namespace

bool all_finite(const float* values, int64_t count) noexcept {
  return no_exponent_is<uint32_t>(0x7F800000, values, count);
}

bool all_finite(const double* values, int64_t count) noexcept {
  return no_exponent_is<uint64_t>(0x7FF0000000000000, values, count);
}

void scale(const float* values, float factor, int64_t count, float* out) noexcept {
  multiply(values, factor, count, out);
}

void scale(const double* values, double factor, int64_t count, double* out) noexcept {
  multiply(values, factor, count, out);
}

std::pair<int64_t, int64_t> least_and_greatest(const int64_t* values, int64_t count) noexcept {
  int64_t least = values[0], greatest = values[0];
  for (int64_t i = 1; i < count; ++i) {
    least = std::min(least, values[i]);
    greatest = std::max(greatest, values[i]);
  }
  return {least, greatest};
}

}  // namespace hashkernels
