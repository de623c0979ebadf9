#include "hashkernels/codes.h"

#include <algorithm>
#include <atomic>
#include <limits>

#include "kernels.hpp"
#include "parallel.hpp"

namespace hashkernels {
namespace {

// Large enough that waking a thread pays, small enough that threads finish together.
constexpr int64_t kBytesPerTask = int64_t{1} << 20;

int64_t rows_per_task(int64_t bytes_per_row) { return std::max<int64_t>(1, kBytesPerTask / bytes_per_row); }

struct Format {
  int width;
  bool is_unsigned;
  int64_t infinity;
};

Format format(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return {4, false, 0x7F800000};
    case DType::kFloat64:
      return {8, false, 0x7FF0000000000000};
    case DType::kFloat16:
      return {2, false, 0x7C00};
    case DType::kBFloat16:
      return {2, false, 0x7F80};
    case DType::kInt8:
      return {1, false, std::numeric_limits<int8_t>::max()};
    case DType::kUInt8:
    case DType::kBool:
      return {1, true, std::numeric_limits<uint8_t>::max()};
    case DType::kInt16:
      return {2, false, std::numeric_limits<int16_t>::max()};
    case DType::kInt32:
      return {4, false, std::numeric_limits<int32_t>::max()};
    case DType::kInt64:
      break;
  }
  return {8, false, std::numeric_limits<int64_t>::max()};
}

}  // namespace

Status pack_codes(const Values& values, uint8_t* out, int64_t out_stride, bool little, int num_threads,
                  bool* has_nan) noexcept {
  const Kernels& isa = kernels();
  const Format type = format(values.dtype);
  PackRows all{static_cast<const uint8_t*>(values.data),
               type.width,
               type.is_unsigned,
               type.infinity,
               values.num_rows,
               values.bits,
               values.row_stride,
               out,
               out_stride,
               little};
  // Rows of whole bytes without gaps are one long row, whatever their length; cut it where 64 values make a word.
  constexpr int64_t kLongRow = 4096;
  const int64_t num_values = all.num_rows * all.bits;
  int64_t rest = 0;
  if (all.bits % 8 == 0 && all.row_stride == all.bits * all.width && out_stride == all.bits / 8) {
    all.num_rows = num_values / kLongRow;
    all.bits = kLongRow;
    all.row_stride = kLongRow * all.width;
    all.out_stride = kLongRow / 8;
    rest = num_values % kLongRow;
  }
  const int64_t step = rows_per_task(all.bits * all.width);
  std::atomic<bool> nan{false};
  const Status status = parallel_for((all.num_rows + step - 1) / step, num_threads, [&](int64_t task, int) {
    PackRows rows = all;
    rows.data += task * step * all.row_stride;
    rows.out += task * step * all.out_stride;
    rows.num_rows = std::min(step, all.num_rows - task * step);
    if (isa.pack_rows(rows)) nan.store(true, std::memory_order_relaxed);
  });
  if (rest > 0) {
    PackRows last = all;
    last.data += all.num_rows * all.row_stride;
    last.out += all.num_rows * all.out_stride;
    last.num_rows = 1;
    last.bits = rest;
    if (isa.pack_rows(last)) nan.store(true, std::memory_order_relaxed);
  }
  *has_nan = nan.load(std::memory_order_relaxed);
  return status;
}

Status unpack_codes(const Codes& codes, int bits, int8_t* out, int64_t out_stride, bool little,
                    int num_threads) noexcept {
  const Kernels& isa = kernels();
  const int64_t step = rows_per_task(bits);
  return parallel_for((codes.num_codes + step - 1) / step, num_threads, [&](int64_t task, int) {
    const int64_t first = task * step;
    isa.unpack_rows({codes.row(first), std::min(step, codes.num_codes - first), bits, codes.stride,
                     out + first * out_stride, out_stride, little});
  });
}

}  // namespace hashkernels
