#include "codes_rows.hpp"

namespace hashkernels {
namespace {

struct Scalar {
  template <class T>
  static uint64_t positive64(const uint8_t* values, T infinity, uint64_t* nan) {
    constexpr T kMagnitude = static_cast<T>(~(uint64_t{1} << (8 * sizeof(T) - 1)));
    uint64_t mask = 0;
    bool any_nan = false;
    for (int i = 0; i < 64; ++i) {
      T x;
      __builtin_memcpy(&x, values + i * sizeof(T), sizeof(T));
      mask |= static_cast<uint64_t>(x > 0 && x <= infinity) << i;
      any_nan |= static_cast<T>(x & kMagnitude) > infinity;
    }
    *nan |= any_nan;
    return mask;
  }

  static void signs64(uint64_t mask, int8_t* out) {
    for (int i = 0; i < 64; ++i) out[i] = static_cast<int8_t>(2 * static_cast<int>((mask >> i) & 1) - 1);
  }
};

}  // namespace

bool pack_rows_scalar(const PackRows& rows) { return pack_rows<Scalar>(rows); }
void unpack_rows_scalar(const UnpackRows& rows) { unpack_rows<Scalar>(rows); }

}  // namespace hashkernels
