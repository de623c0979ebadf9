// What the tests of the emulated kernels share: schedules, and inputs in guarded memory.
#pragma once

#include <gtest/gtest.h>

#include <random>
#include <type_traits>
#include <vector>

#include "../testing.hpp"
#include "emulator.hpp"
#include "hashkernels/counting.h"
#include "hashkernels/cuda.h"

namespace hashkernels::testing {

inline constexpr uint64_t kSchedules = 20;

// Runs `body` under that many schedules and stops at the first that fails.
template <class Body>
void for_each_schedule(Body&& body, uint64_t schedules = kSchedules) {
  for (uint64_t seed = 0; seed < schedules && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(::testing::Message() << "schedule " << seed);
    emulator::block.seed(seed);
    body();
  }
}

// A copy of codes, rows `stride` bytes apart, the first at a multiple of `alignment` bytes and nothing after the last;
// kOdd: a byte before such a place.
inline constexpr size_t kOdd = 0;

class DeviceCodes {
 public:
  explicit DeviceCodes(const Codes& codes, int64_t extra_stride = 0, size_t alignment = 1)
      : stride_(codes.num_bytes + extra_stride),
        num_codes_(codes.num_codes),
        num_bytes_(codes.num_bytes),
        memory_((codes.num_codes == 0 ? 0 : (codes.num_codes - 1) * stride_ + codes.num_bytes) + (alignment == kOdd),
                std::max<size_t>(alignment, 1)) {
    for (int64_t i = 0; i < num_codes_; ++i) std::copy_n(codes.row(i), num_bytes_, memory_.data() + i * stride_);
  }

  Codes view() { return {memory_.data(), num_codes_, stride_, num_bytes_}; }

 private:
  int64_t stride_, num_codes_;
  int num_bytes_;
  emulator::GuardedMemory memory_;
};

// Labels of either form, for the host and for the kernels. Multi-hot words are sparse, so that some pairs share a
// class.
class RandomLabels {
 public:
  RandomLabels(int64_t num_items, int words, unsigned seed, int num_classes = 3)
      : words_(words), values_(random_values(num_items, words, seed, num_classes)), device_(values_) {}

  Labels host() const { return {values_.data(), words_}; }
  Labels device() { return {device_.data(), words_}; }

 private:
  static std::vector<int64_t> random_values(int64_t num_items, int words, unsigned seed, int num_classes) {
    std::mt19937_64 random(seed);
    std::vector<int64_t> values(num_items * std::max(words, 1));
    for (int64_t& value : values) {
      value = words == 0 ? static_cast<int64_t>(random() % num_classes) * 0x123456789ABCDEF - 5
                         : static_cast<int64_t>(random() & random() & random() & random());
    }
    return values;
  }

  int words_;
  std::vector<int64_t> values_;
  emulator::DeviceArray<int64_t> device_;
};

}  // namespace hashkernels::testing
