#include "hashkernels/codes.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "testing.hpp"

namespace hashkernels {
namespace {

class PackCodes : public testing::ForEachIsa {};
class UnpackCodes : public testing::ForEachIsa {};

bool bit(const uint8_t* code, int64_t c, bool little) { return (code[c / 8] >> (little ? c % 8 : 7 - c % 8)) & 1; }

// Rows of bit patterns with gaps between them and at an odd address, against a loop over bits.
template <class T>
void expect_packed(DType dtype, const std::vector<T>& specials, bool (*positive)(T), bool expect_nan) {
  std::mt19937_64 random(7);
  for (int64_t bits : {1, 7, 8, 9, 48, 63, 64, 65, 127, 129, 1023, 4096}) {
    for (int64_t gap : {0, 3}) {
      constexpr int64_t kRows = 37;
      const int64_t num_bytes = (bits + 7) / 8;
      std::vector<uint8_t> storage(1 + kRows * (bits + gap) * sizeof(T));
      std::vector<T> values(kRows * (bits + gap));
      for (T& value : values) value = specials[random() % specials.size()];
      if (expect_nan) values[0] = specials[0];
      std::memcpy(storage.data() + 1, values.data(), values.size() * sizeof(T));
      for (bool little : {false, true}) {
        for (int threads : {1, 3}) {
          std::vector<uint8_t> out(kRows * (num_bytes + gap), 0xA5);
          bool has_nan = !expect_nan;
          const Values view{storage.data() + 1, dtype, kRows, bits, (bits + gap) * static_cast<int64_t>(sizeof(T))};
          ASSERT_EQ(pack_codes(view, out.data(), num_bytes + gap, little, threads, &has_nan), Status::kOk);
          ASSERT_EQ(has_nan, expect_nan);
          for (int64_t r = 0; r < kRows; ++r) {
            const uint8_t* code = out.data() + r * (num_bytes + gap);
            for (int64_t c = 0; c < 8 * num_bytes; ++c) {
              const bool expected = c < bits && positive(values[r * (bits + gap) + c]);
              ASSERT_EQ(bit(code, c, little), expected) << "bits " << bits << " row " << r << " bit " << c;
            }
            for (int64_t g = 0; g < gap; ++g) ASSERT_EQ(code[num_bytes + g], 0xA5);
          }
        }
      }
    }
  }
}

TEST_P(PackCodes, Float32) {
  using Limits = std::numeric_limits<float>;
  const std::vector<float> numbers{0.0f,
                                   -0.0f,
                                   1.5f,
                                   -1.5f,
                                   Limits::denorm_min(),
                                   -Limits::denorm_min(),
                                   Limits::infinity(),
                                   -Limits::infinity(),
                                   Limits::max()};
  const auto positive = [](float x) { return x > 0; };
  expect_packed<float>(DType::kFloat32, numbers, positive, false);
  expect_packed<float>(DType::kFloat32, {Limits::quiet_NaN(), -Limits::quiet_NaN(), 1.0f, -1.0f}, positive, true);
}

TEST_P(PackCodes, Float64) {
  using Limits = std::numeric_limits<double>;
  const std::vector<double> numbers{
      0.0, -0.0, 1e-300, -1e-300, Limits::denorm_min(), Limits::infinity(), -Limits::infinity()};
  const auto positive = [](double x) { return x > 0; };
  expect_packed<double>(DType::kFloat64, numbers, positive, false);
  expect_packed<double>(DType::kFloat64, {-Limits::quiet_NaN(), Limits::quiet_NaN(), 1.0, -1.0}, positive, true);
}

// Bit patterns: zero, minus zero, the least positive, one, infinity, and their negatives; NaNs of both signs.
TEST_P(PackCodes, Float16) {
  const auto positive = [](int16_t x) { return x > 0 && x <= 0x7C00; };
  expect_packed<int16_t>(DType::kFloat16, {0, INT16_MIN, 1, -32767, 0x3C00, 0x7C00, -1024}, positive, false);
  expect_packed<int16_t>(DType::kFloat16, {0x7C01, 0x7E00, -512, 0x3C00}, positive, true);
}

TEST_P(PackCodes, BFloat16) {
  const auto positive = [](int16_t x) { return x > 0 && x <= 0x7F80; };
  expect_packed<int16_t>(DType::kBFloat16, {0, INT16_MIN, 1, -32767, 0x3F80, 0x7F80, -128}, positive, false);
  expect_packed<int16_t>(DType::kBFloat16, {0x7F81, 0x7FC0, -64, 0x3F80}, positive, true);
}

TEST_P(PackCodes, Integers) {
  expect_packed<int8_t>(DType::kInt8, {0, 1, -1, 127, -128}, [](int8_t x) { return x > 0; }, false);
  expect_packed<uint8_t>(DType::kUInt8, {0, 1, 127, 128, 255}, [](uint8_t x) { return x > 0; }, false);
  expect_packed<uint8_t>(DType::kBool, {0, 1}, [](uint8_t x) { return x > 0; }, false);
  expect_packed<int16_t>(DType::kInt16, {0, 1, -1, INT16_MAX, INT16_MIN}, [](int16_t x) { return x > 0; }, false);
  expect_packed<int32_t>(DType::kInt32, {0, 1, -1, INT32_MAX, INT32_MIN}, [](int32_t x) { return x > 0; }, false);
  expect_packed<int64_t>(DType::kInt64, {0, 1, -1, INT64_MAX, INT64_MIN}, [](int64_t x) { return x > 0; }, false);
}

TEST_P(PackCodes, ManyRowsOverThreads) {
  constexpr int64_t kRows = 40001, kBits = 48;
  std::mt19937_64 random(3);
  std::vector<float> values(kRows * kBits);
  for (float& value : values) value = static_cast<float>(static_cast<int64_t>(random() % 3)) - 1.0f;
  std::vector<uint8_t> out(kRows * 6);
  bool has_nan = true;
  ASSERT_EQ(pack_codes({values.data(), DType::kFloat32, kRows, kBits, 4 * kBits}, out.data(), 6, false, 4, &has_nan),
            Status::kOk);
  ASSERT_FALSE(has_nan);
  for (int64_t i = 0; i < kRows * kBits; ++i) {
    ASSERT_EQ(bit(out.data() + i / kBits * 6, i % kBits, false), values[i] > 0);
  }
}

TEST_P(UnpackCodes, GivesTheSignOfEveryBit) {
  for (int bits : {1, 7, 8, 9, 48, 63, 64, 65, 127, 129, 1023, 4096}) {
    for (int64_t gap : {0, 5}) {
      const testing::RandomCodes codes(21, bits, 5, gap);
      for (bool little : {false, true}) {
        std::vector<int8_t> out(21 * (bits + gap), 77);
        ASSERT_EQ(unpack_codes(codes.view(), bits, out.data(), bits + gap, little, 2), Status::kOk);
        for (int64_t r = 0; r < 21; ++r) {
          const int8_t* row = out.data() + r * (bits + gap);
          for (int c = 0; c < bits; ++c) ASSERT_EQ(row[c], bit(codes.view().row(r), c, little) ? 1 : -1);
          for (int64_t g = 0; g < gap; ++g) ASSERT_EQ(row[bits + g], 77);
        }
      }
    }
  }
}

HASHKERNELS_FOR_EACH_ISA(PackCodes);
HASHKERNELS_FOR_EACH_ISA(UnpackCodes);

}  // namespace
}  // namespace hashkernels
