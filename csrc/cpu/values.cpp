#include "hashkernels/values.h"

#include <algorithm>
#include <bit>

namespace hashkernels {
namespace {

// By the bits of the values: the greatest of them is found by vector instructions without a word about the order of
// floating-point operations.
template <class Bits, class T>
bool all_below(const T* values, int64_t count, Bits infinity) {
  Bits greatest = 0;
  for (int64_t i = 0; i < count; ++i) {
    const Bits magnitude = std::bit_cast<Bits>(values[i]) & ~(Bits{1} << (8 * sizeof(Bits) - 1));
    greatest = std::max(greatest, magnitude);
  }
  return greatest < infinity;
}

}  // namespace

bool all_finite(const float* values, int64_t count) noexcept { return all_below<uint32_t>(values, count, 0x7F800000); }

bool all_finite(const double* values, int64_t count) noexcept {
  return all_below<uint64_t>(values, count, 0x7FF0000000000000);
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
