// Inner kernels of pack_codes and unpack_codes: whole rows, one call per range of rows.
#pragma once

#include <cstdint>

namespace hashkernels {

// Values as the kernels read them: integers of `width` bytes. An IEEE float is positive where its bits, as a signed
// integer, lie in (0, infinity], and NaN where they exceed infinity without the sign bit. So one compare serves every
// type, and a flush-to-zero mode of the caller changes nothing.
struct PackRows {
  const uint8_t* data;
  int width;         // 1, 2, 4 or 8
  bool is_unsigned;  // only with width 1
  int64_t infinity;  // bits of +infinity; the largest integer for integer types, which have no NaN
  int64_t num_rows, bits, row_stride;
  uint8_t* out;
  int64_t out_stride;
  bool little;
};

// Returns true when a NaN was met.
bool pack_rows_scalar(const PackRows& rows);
bool pack_rows_avx2(const PackRows& rows);
bool pack_rows_avx512(const PackRows& rows);

struct UnpackRows {
  const uint8_t* data;
  int64_t num_rows, bits, row_stride;
  int8_t* out;
  int64_t out_stride;
  bool little;
};

void unpack_rows_scalar(const UnpackRows& rows);
void unpack_rows_avx2(const UnpackRows& rows);
void unpack_rows_avx512(const UnpackRows& rows);

}  // namespace hashkernels
