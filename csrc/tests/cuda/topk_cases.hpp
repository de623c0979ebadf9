// Top-k on emulated kernels against the CPU's, by both methods.
#pragma once

#include "emulated.hpp"
#include "hashkernels/search.h"

namespace hashkernels::testing {

struct SearchResults {
  std::vector<int32_t> distances;
  std::vector<int64_t> indices;
  bool operator==(const SearchResults&) const = default;
};

inline void expect_same_topk(const RandomCodes& host_queries, const RandomCodes& host_database,
                             const std::vector<int64_t>& ks, const std::vector<uint8_t>& allowed = {},
                             int64_t extra_stride = 0, size_t alignment = 1, uint64_t schedules = kSchedules) {
  const Codes queries = host_queries.view(), database = host_database.view();
  DeviceCodes device_queries(queries, extra_stride, alignment), device_database(database, extra_stride, alignment);
  emulator::DeviceArray<uint8_t> device_allowed(allowed);
  for (int64_t k : ks) {
    const size_t size = queries.num_codes * k;
    SearchResults expected{std::vector<int32_t>(size), std::vector<int64_t>(size)};
    ASSERT_EQ(topk(queries, database, k, allowed.empty() ? nullptr : allowed.data(), expected.distances.data(),
                   expected.indices.data(), 1),
              Status::kOk);
    int runs = 0;
    for_each_schedule(
        [&] {
          emulator::DeviceArray<int32_t> distances(size);
          emulator::DeviceArray<int64_t> indices(size);
          emulator::DeviceArray<int64_t> workspace(
              cuda::topk_workspace(queries.num_codes, database.num_codes, queries.num_bytes, k));
          const auto method = runs++ % 2 == 0 ? cuda::TopkMethod::kFastest : cuda::TopkMethod::kPortable;
          ASSERT_EQ(cuda::topk(device_queries.view(), device_database.view(), k,
                               allowed.empty() ? nullptr : device_allowed.data(), method, distances.data(),
                               indices.data(), workspace.data(), 0, nullptr),
                    Status::kOk);
          ASSERT_EQ((SearchResults{distances.host(), indices.host()}), expected)
              << "k " << k << ", " << queries.num_bytes;
        },
        schedules);
  }
}

}  // namespace hashkernels::testing
