// Views of packed binary codes, packing and unpacking.
//
// A code is ceil(bits / 8) bytes. "Big" bit order puts bit 0 at the most significant bit of byte 0 (numpy.packbits'
// default), "little" at the least significant. Pad bits are zero. Rows may lie at any address and any stride.
#pragma once

#include <cstdint>

#include "hashkernels/status.h"

namespace hashkernels {

inline constexpr int kMaxBits = 4096;
inline constexpr int kMaxBytes = kMaxBits / 8;

struct Codes {
  const uint8_t* data;
  int64_t num_codes;
  int64_t stride;  // bytes from one code to the next; 0 or negative strides are allowed
  int num_bytes;   // bytes a code, 1..kMaxBytes

  const uint8_t* row(int64_t index) const { return data + index * stride; }
};

enum class DType { kFloat32, kFloat64, kFloat16, kBFloat16, kInt8, kUInt8, kBool, kInt16, kInt32, kInt64 };

// Row-major values: element (r, c) lies at data + r * row_stride + c * (size of dtype); row_stride in bytes.
struct Values {
  const void* data;
  DType dtype;
  int64_t num_rows;
  int64_t bits;
  int64_t row_stride;
};

// Bit c of code r is set where value (r, c) > 0. *has_nan becomes true when any value is NaN (its bit is then 0).
// Writes num_rows rows of ceil(bits / 8) bytes, pad bits zero.
Status pack_codes(const Values& values, uint8_t* out, int64_t out_stride, bool little, int num_threads,
                  bool* has_nan) noexcept;

// Value (r, c) is +1 where bit c of code r is set and -1 elsewhere; out rows of `bits` int8 values lie out_stride bytes
// apart.
Status unpack_codes(const Codes& codes, int bits, int8_t* out, int64_t out_stride, bool little,
                    int num_threads) noexcept;

}  // namespace hashkernels
