#include "hashkernels/codes.h"

#include <limits>

#include "emulated.hpp"

namespace hashkernels {
namespace {

using namespace testing;

// Values drawn from `specials`, rows `gap` values apart, packed by the CPU and by the kernel.
template <class T>
void expect_same_as_cpu(DType dtype, const std::vector<T>& specials) {
  std::mt19937_64 random(7);
  for (int64_t bits : {1, 7, 8, 33, 48, 64, 300}) {
    for (int64_t gap : {0, 3}) {
      constexpr int64_t kRows = 11;
      const int64_t num_bytes = (bits + 7) / 8, stride = bits + gap, size = (kRows - 1) * stride + bits;
      std::vector<T> values(size);
      for (T& value : values) value = specials[random() % specials.size()];
      emulator::DeviceArray<T> device_values(values);
      const int64_t row_bytes = stride * static_cast<int64_t>(sizeof(T)), out_stride = num_bytes + gap;
      for (bool little : {false, true}) {
        std::vector<uint8_t> expected((kRows - 1) * out_stride + num_bytes, emulator::kPoison);
        bool expected_nan = false;
        ASSERT_EQ(pack_codes({values.data(), dtype, kRows, bits, row_bytes}, expected.data(), out_stride, little, 1,
                             &expected_nan),
                  Status::kOk);
        for_each_schedule([&] {
          emulator::DeviceArray<uint8_t> out(expected.size());
          emulator::DeviceArray<int32_t> has_nan(std::vector<int32_t>{0});
          ASSERT_EQ(cuda::pack_codes({device_values.data(), dtype, kRows, bits, row_bytes}, out.data(), out_stride,
                                     little, has_nan.data(), 0, nullptr),
                    Status::kOk);
          ASSERT_EQ(out.host(), expected) << bits << " bits";
          ASSERT_EQ(has_nan.host()[0], expected_nan);
        });
      }
    }
  }
}

TEST(EmulatedPackCodes, FloatsByTheirBits) {
  using Limits = std::numeric_limits<float>;
  using Wide = std::numeric_limits<double>;
  const std::vector<float> floats{0.0f, -0.0f, 1.5f, -1.5f, Limits::denorm_min(), Limits::infinity(), -Limits::max()};
  const std::vector<double> doubles{0.0, -0.0, 1e-300, -1e-300, Wide::denorm_min(), Wide::infinity(), -1.0};
  expect_same_as_cpu<float>(DType::kFloat32, floats);
  expect_same_as_cpu<double>(DType::kFloat64, doubles);
  expect_same_as_cpu<int16_t>(DType::kFloat16, {0, INT16_MIN, 1, -32767, 0x3C00, 0x7C00, -1024});
  expect_same_as_cpu<int16_t>(DType::kBFloat16, {0, INT16_MIN, 1, -32767, 0x3F80, 0x7F80, -128});
}

TEST(EmulatedPackCodes, NaNsOfBothSigns) {
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
  expect_same_as_cpu<float>(DType::kFloat32, {kNaN, -kNaN, 1.0f, -1.0f});
  expect_same_as_cpu<double>(DType::kFloat64, {-double{kNaN}, double{kNaN}, 1.0, -1.0});
  expect_same_as_cpu<int16_t>(DType::kFloat16, {0x7C01, 0x7E00, -512, 0x3C00});
  expect_same_as_cpu<int16_t>(DType::kBFloat16, {0x7F81, 0x7FC0, -64, 0x3F80});
}

TEST(EmulatedPackCodes, Integers) {
  expect_same_as_cpu<int8_t>(DType::kInt8, {0, 1, -1, 127, -128});
  expect_same_as_cpu<uint8_t>(DType::kUInt8, {0, 1, 127, 128, 255});
  expect_same_as_cpu<uint8_t>(DType::kBool, {0, 1});
  expect_same_as_cpu<int16_t>(DType::kInt16, {0, 1, -1, INT16_MAX, INT16_MIN});
  expect_same_as_cpu<int32_t>(DType::kInt32, {0, 1, -1, INT32_MAX, INT32_MIN});
  expect_same_as_cpu<int64_t>(DType::kInt64, {0, 1, -1, INT64_MAX, INT64_MIN});
}

TEST(EmulatedPackCodes, LooksForNaNOnlyWhenAsked) {
  emulator::DeviceArray<float> values(std::vector<float>{std::numeric_limits<float>::quiet_NaN(), 1.0f});
  emulator::DeviceArray<uint8_t> out(1);
  ASSERT_EQ(cuda::pack_codes({values.data(), DType::kFloat32, 1, 2, 8}, out.data(), 1, false, nullptr, 0, nullptr),
            Status::kOk);
  EXPECT_EQ(out.host()[0], 0x40);
}

TEST(EmulatedUnpackCodes, SameAsCpu) {
  for (int bits : {1, 7, 8, 9, 48, 64, 65, 129, 1023}) {
    for (int64_t gap : {0, 5}) {
      const RandomCodes codes(9, bits, 5);
      DeviceCodes device_codes(codes.view(), gap);
      for (bool little : {false, true}) {
        const auto poison = static_cast<int8_t>(emulator::kPoison);
        std::vector<int8_t> expected(8 * (bits + gap) + bits, poison);
        ASSERT_EQ(unpack_codes(codes.view(), bits, expected.data(), bits + gap, little, 1), Status::kOk);
        for_each_schedule([&] {
          emulator::DeviceArray<int8_t> out(expected.size());
          ASSERT_EQ(cuda::unpack_codes(device_codes.view(), bits, out.data(), bits + gap, little, 0, nullptr),
                    Status::kOk);
          ASSERT_EQ(out.host(), expected) << bits << " bits";
        });
      }
    }
  }
}

TEST(EmulatedPackCodes, NothingToDo) {
  EXPECT_EQ(cuda::pack_codes({nullptr, DType::kInt8, 0, 8, 8}, nullptr, 1, false, nullptr, 0, nullptr), Status::kOk);
  EXPECT_EQ(cuda::unpack_codes({nullptr, 0, 1, 1}, 8, nullptr, 8, false, 0, nullptr), Status::kOk);
}

}  // namespace
}  // namespace hashkernels
