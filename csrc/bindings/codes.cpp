#include "hashkernels/codes.h"

#include <string>

#include "bindings.hpp"

namespace hashkernels::bindings {
namespace {

struct NamedDType {
  const char* name;
  DType dtype;
  int64_t size;
};

const NamedDType& find_dtype(const std::string& name) {
  static constexpr NamedDType kDTypes[] = {
      {"float32", DType::kFloat32, 4},   {"float64", DType::kFloat64, 8}, {"float16", DType::kFloat16, 2},
      {"bfloat16", DType::kBFloat16, 2}, {"int8", DType::kInt8, 1},       {"uint8", DType::kUInt8, 1},
      {"bool", DType::kBool, 1},         {"int16", DType::kInt16, 2},     {"int32", DType::kInt32, 4},
      {"int64", DType::kInt64, 8},
  };
  for (const NamedDType& entry : kDTypes) {
    if (name == entry.name) return entry;
  }
  throw pybind11::value_error("dtype_code names no type that can be packed: '" + name + "'");
}

}  // namespace

Values values(uintptr_t data, const std::string& dtype_code, int64_t rows, int64_t bits, int64_t row_stride) {
  const NamedDType& type = find_dtype(dtype_code);
  return {address<const void>(data), type.dtype, rows, bits, row_stride * type.size};
}

void register_codes(pybind11::module_& module) {
  module.def("pack_codes", [](uintptr_t src, const std::string& dtype_code, int64_t rows, int64_t bits,
                              int64_t row_stride, uintptr_t dst, int64_t dst_row_stride, bool little, int threads) {
    const Values packable = values(src, dtype_code, rows, bits, row_stride);
    bool has_nan = false;
    call([&] { return pack_codes(packable, address<uint8_t>(dst), dst_row_stride, little, threads, &has_nan); });
    return has_nan;
  });
  module.def("unpack_codes", [](uintptr_t src, int64_t rows, int bits, int64_t row_stride, uintptr_t dst,
                                int64_t dst_row_stride, bool little, int threads) {
    const Codes packed = codes(src, rows, row_stride, (bits + 7) / 8);
    call([&] { return unpack_codes(packed, bits, address<int8_t>(dst), dst_row_stride, little, threads); });
  });
}

}  // namespace hashkernels::bindings
