// What every test shares: random codes, and a run of the same test under each instruction set of this machine.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <vector>

#include "hashkernels/codes.h"
#include "hashkernels/isa.h"

namespace hashkernels::testing {

// Test fixture: selects the instruction set that is the test's parameter, and puts the old one back.
class ForEachIsa : public ::testing::TestWithParam<Isa> {
 protected:
  void SetUp() override { ASSERT_TRUE(select_isa(GetParam())); }
  void TearDown() override { select_isa(before_); }

 private:
  Isa before_ = active_isa();
};

inline std::vector<Isa> available_isas() {
  std::vector<Isa> result;
  for (size_t i = 0; i < kNumIsas; ++i) {
    if (isa_available(static_cast<Isa>(i))) result.push_back(static_cast<Isa>(i));
  }
  return result;
}

#define HASHKERNELS_FOR_EACH_ISA(Fixture)                                                               \
  INSTANTIATE_TEST_SUITE_P(Isa, Fixture, ::testing::ValuesIn(::hashkernels::testing::available_isas()), \
                           [](const auto& param) { return std::string(isa_name(param.param)); })

// Random codes of `bits` bits with zero pad bits ("big" order), rows `stride` bytes apart at an odd address.
class RandomCodes {
 public:
  RandomCodes(int64_t num_codes, int bits, unsigned seed, int64_t extra_stride = 0)
      : num_bytes_((bits + 7) / 8),
        stride_(num_bytes_ + extra_stride),
        num_codes_(num_codes),
        storage_(1 + num_codes * stride_, 0xA5) {
    std::mt19937_64 random(seed);
    const uint8_t last = static_cast<uint8_t>(0xFF << (num_bytes_ * 8 - bits));
    for (int64_t i = 0; i < num_codes; ++i) {
      uint8_t* row = storage_.data() + 1 + i * stride_;
      for (int b = 0; b < num_bytes_; ++b) row[b] = static_cast<uint8_t>(random());
      row[num_bytes_ - 1] &= last;
    }
  }

  Codes view() const { return {storage_.data() + 1, num_codes_, stride_, num_bytes_}; }
  uint8_t* row(int64_t i) { return storage_.data() + 1 + i * stride_; }

 private:
  int num_bytes_;
  int64_t stride_, num_codes_;
  std::vector<uint8_t> storage_;
};

inline int distance(const Codes& a, int64_t i, const Codes& b, int64_t j) {
  int count = 0;
  for (int byte = 0; byte < a.num_bytes; ++byte) count += __builtin_popcount(a.row(i)[byte] ^ b.row(j)[byte]);
  return count;
}

}  // namespace hashkernels::testing
