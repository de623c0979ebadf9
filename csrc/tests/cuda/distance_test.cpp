#include "hashkernels/distance.h"

#include "emulated.hpp"

namespace hashkernels {
namespace {

using namespace testing;

template <class T>
void expect_same_as_cpu(int64_t num_queries, int64_t num_database, int bits, int64_t extra_stride, size_t alignment) {
  const RandomCodes host_queries(num_queries, bits, 1), host_database(num_database, bits, 2);
  std::vector<T> expected(num_queries * num_database);
  ASSERT_EQ(hamming_distance(host_queries.view(), host_database.view(), expected.data(), 1), Status::kOk);
  DeviceCodes queries(host_queries.view(), extra_stride), database(host_database.view(), extra_stride, alignment);
  for_each_schedule([&] {
    emulator::DeviceArray<T> out(expected.size());
    ASSERT_EQ(cuda::hamming_distance(queries.view(), database.view(), out.data(), 0, nullptr), Status::kOk);
    ASSERT_EQ(out.host(), expected) << bits << " bits";
  });
}

TEST(EmulatedDistance, SameAsCpuAtEveryWidth) {
  for (int bits : {1, 7, 8, 9, 48, 63, 64, 65, 127, 129, 1023}) expect_same_as_cpu<int32_t>(3, 131, bits, bits % 3, 1);
  expect_same_as_cpu<int32_t>(2, 5, 4096, 0, 4);
}

TEST(EmulatedDistance, SameAsCpuOverSeveralTiles) {
  expect_same_as_cpu<int32_t>(130, 129, 64, 0, 16);
  expect_same_as_cpu<int32_t>(9, 1100, 64, 0, 8);
  expect_same_as_cpu<int32_t>(130, 40, 600, 3, 1);
}

// Rows of whole vectors, and others.
TEST(EmulatedDistance, SameAsCpuInEveryOutput) {
  for (int bits : {8, 64, 200}) {
    expect_same_as_cpu<uint8_t>(5, 1036, bits, 0, 1);
    expect_same_as_cpu<int16_t>(5, 140, bits, 0, 1);
    expect_same_as_cpu<int32_t>(5, 140, bits, 0, 1);
    expect_same_as_cpu<uint8_t>(4, 143, bits, 0, 1);
    expect_same_as_cpu<int16_t>(8, 142, bits, 0, 1);
  }
  expect_same_as_cpu<int16_t>(5, 140, 520, 1, 1);
  expect_same_as_cpu<int16_t>(5, 141, 520, 1, 1);
}

}  // namespace
}  // namespace hashkernels
