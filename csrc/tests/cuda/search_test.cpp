#include "hashkernels/search.h"

#include <climits>
#include <memory>

#include "topk_cases.hpp"

namespace hashkernels {
namespace {

using namespace testing;

TEST(EmulatedTopK, SameAsCpuAtEveryWidth) {
  for (int bits : {1, 7, 8, 9, 16, 31, 32, 48, 63, 64, 65, 96, 127, 128, 129, 256, 264, 1023, 4096}) {
    const int64_t num_database = bits > 1000 ? 1100 : 2100;
    expect_same_topk(RandomCodes(5, bits, 1), RandomCodes(num_database, bits, 2), {1, 10, 1000}, {}, bits % 3);
    expect_same_topk(RandomCodes(33, bits, 1), RandomCodes(num_database / 2, bits, 2), {10}, {}, bits % 3);
  }
}

TEST(EmulatedTopK, SameAsCpuOnAlignedCodes) {
  for (int bits : {32, 64, 128, 256}) {
    for (int64_t num_database : {1, 127, 128, 129, 4100}) {
      expect_same_topk(RandomCodes(3, bits, 1), RandomCodes(num_database, bits, 2), {1, (num_database + 2) / 3}, {}, 0,
                       16);
    }
    expect_same_topk(RandomCodes(40, bits, 1), RandomCodes(1200, bits, 2), {1, 100}, {}, 0, 16);
  }
}

TEST(EmulatedTopK, CodesAtOddAddresses) {
  for (int bits : {32, 64, 128, 256}) {
    for (int num_queries : {3, 40}) {
      expect_same_topk(RandomCodes(num_queries, bits, 1), RandomCodes(1200, bits, 2), {10}, {}, 0, kOdd, 2);
    }
  }
}

TEST(EmulatedTopK, ManyQueries) { expect_same_topk(RandomCodes(130, 24, 3), RandomCodes(1537, 24, 4), {1, 100}); }

TEST(EmulatedTopK, AnyKUpToTheWholeDatabase) {
  for (int64_t num_database : {1, 2, 511, 512, 513, 1300}) {
    expect_same_topk(RandomCodes(3, 24, 5), RandomCodes(num_database, 24, 6),
                     {1, (num_database + 1) / 2, num_database});
  }
}

TEST(EmulatedTopK, LowestIndicesAmongEqualCodes) {
  RandomCodes queries(2, 64, 7), database(5000, 64, 8);
  for (int64_t n = 0; n < 5000; ++n) std::copy_n(queries.row(0), 8, database.row(n));
  expect_same_topk(queries, database, {1, 100, 1999, 5000});
}

TEST(EmulatedTopK, OnlyAllowedCodesAndPaddingBehindThem) {
  const RandomCodes queries(4, 100, 11), database(3000, 100, 12);
  for (int64_t step : {1, 7, 700, 4000}) {
    std::vector<uint8_t> allowed(3000, 0);
    for (int64_t n = step - 1; n < 3000; n += step) allowed[n] = 255;
    expect_same_topk(queries, database, {1, 5, 3000}, allowed);
  }
}

// Enough (distance, chunk) counters a query for the prefix sums to run over several segments.
TEST(EmulatedTopK, ManyChunks) {
  const RandomCodes queries(33, 256, 13), database(34000, 256, 14);
  // Beside counters of every distance there are sums of segments.
  ASSERT_NE(cuda::topk_workspace(33, 34000, 32, 3000) % (33 * 257), 0);
  expect_same_topk(queries, database, {50}, {}, 0, 1, 2);
  expect_same_topk(RandomCodes(2, 64, 13), RandomCodes(40000, 64, 14), {50}, {}, 0, 16);
}

TEST(EmulatedTopK, RowsInAnyOrder) {
  const RandomCodes host_queries(2, 64, 13), host_database(1000, 64, 14);
  DeviceCodes queries(host_queries.view()), database(host_database.view());
  const Codes view = host_database.view(), device_view = database.view();
  const auto backwards = [](const Codes& codes) {
    return Codes{codes.data + 999 * codes.stride, 1000, -codes.stride, 8};
  };
  SearchResults expected{std::vector<int32_t>(100), std::vector<int64_t>(100)};
  ASSERT_EQ(
      topk(host_queries.view(), backwards(view), 50, nullptr, expected.distances.data(), expected.indices.data(), 1),
      Status::kOk);
  emulator::DeviceArray<int32_t> distances(100);
  emulator::DeviceArray<int64_t> indices(100), workspace(cuda::topk_workspace(2, 1000, 8, 50));
  ASSERT_EQ(cuda::topk(queries.view(), backwards(device_view), 50, nullptr, cuda::TopkMethod::kFastest,
                       distances.data(), indices.data(), workspace.data(), 0, nullptr),
            Status::kOk);
  EXPECT_EQ((SearchResults{distances.host(), indices.host()}), expected);
}

class RangeCase {
 public:
  // Every `step`-th code is allowed; 0: all are.
  RangeCase(int64_t num_queries, int64_t num_database, int bits, int radius, int64_t step = 0)
      : host_queries_(num_queries, bits, 15),
        host_database_(num_database, bits, 16),
        queries_(host_queries_.view()),
        database_(host_database_.view()),
        radius_(radius),
        host_allowed_(step == 0 ? 0 : num_database, 0),
        counts_(num_queries) {
    for (size_t n = 0; n < host_allowed_.size(); n += step) host_allowed_[n] = 255;
    allowed_ = std::make_unique<emulator::DeviceArray<uint8_t>>(host_allowed_);
    RangeFinds finds;
    EXPECT_EQ(range_search(host_queries_.view(), host_database_.view(), radius, 0,
                           step == 0 ? nullptr : host_allowed_.data(), &finds, 1),
              Status::kOk);
    offsets_.assign(finds.offsets(), finds.offsets() + num_queries + 1);
    counts_.assign(finds.counts(), finds.counts() + num_queries);
    expected_ = {std::vector<int32_t>(offsets_.back()), std::vector<int64_t>(offsets_.back())};
    EXPECT_EQ(finds.write(expected_.distances.data(), expected_.indices.data(), 1), Status::kOk);
  }

  void expect_same_results() {
    for_each_schedule([&] {
      emulator::DeviceArray<int64_t> counts(counts_.size()), workspace(workspace_size()), offsets(offsets_);
      ASSERT_EQ(cuda::range_count(queries_.view(), database_.view(), radius_, allowed(), counts.data(),
                                  workspace.data(), 0, nullptr),
                Status::kOk);
      ASSERT_EQ(counts.host(), counts_) << "radius " << radius_;
      emulator::DeviceArray<int32_t> distances(offsets_.back());
      emulator::DeviceArray<int64_t> indices(offsets_.back());
      ASSERT_EQ(cuda::range_fill(queries_.view(), database_.view(), radius_, allowed(), offsets.data(),
                                 distances.data(), indices.data(), workspace.data(), 0, nullptr),
                Status::kOk);
      ASSERT_EQ((SearchResults{distances.host(), indices.host()}), expected_) << "radius " << radius_;
    });
  }

  void expect_same_nearest(int64_t max_results) {
    const int64_t num_queries = static_cast<int64_t>(counts_.size());
    SearchResults expected{std::vector<int32_t>(num_queries * max_results, INT32_MAX),
                           std::vector<int64_t>(num_queries * max_results, -1)};
    for (int64_t q = 0; q < num_queries; ++q) {
      for (int64_t i = 0; i < std::min(max_results, counts_[q]); ++i) {
        expected.distances[q * max_results + i] = expected_.distances[offsets_[q] + i];
        expected.indices[q * max_results + i] = expected_.indices[offsets_[q] + i];
      }
    }
    for_each_schedule([&] {
      emulator::DeviceArray<int64_t> counts(num_queries), workspace(workspace_size());
      emulator::DeviceArray<int32_t> distances(num_queries * max_results);
      emulator::DeviceArray<int64_t> indices(num_queries * max_results);
      ASSERT_EQ(cuda::range_nearest(queries_.view(), database_.view(), radius_, max_results, allowed(), counts.data(),
                                    distances.data(), indices.data(), workspace.data(), 0, nullptr),
                Status::kOk);
      ASSERT_EQ(counts.host(), counts_);
      ASSERT_EQ((SearchResults{distances.host(), indices.host()}), expected) << "radius " << radius_;
    });
  }

 private:
  int64_t workspace_size() {
    const Codes queries = queries_.view();
    return cuda::range_workspace(queries.num_codes, database_.view().num_codes, queries.num_bytes, radius_);
  }

  const uint8_t* allowed() { return host_allowed_.empty() ? nullptr : allowed_->data(); }

  RandomCodes host_queries_, host_database_;
  DeviceCodes queries_, database_;
  int radius_;
  std::vector<uint8_t> host_allowed_;
  std::unique_ptr<emulator::DeviceArray<uint8_t>> allowed_;
  std::vector<int64_t> counts_, offsets_;
  SearchResults expected_;
};

TEST(EmulatedRangeSearch, SameAsCpuAtEveryWidthAndRadius) {
  for (int bits : {1, 8, 15, 64, 65, 200, 264, 1000}) {
    for (int radius : {0, 1, bits / 2 - 1, bits / 2, bits, bits + 100}) {
      if (radius >= 0) RangeCase(3, 1100, bits, radius).expect_same_results();
      if (radius == bits / 2) RangeCase(35, 1100, bits, radius).expect_same_results();
    }
  }
}

TEST(EmulatedRangeSearch, ManyQueries) {
  for (int radius : {27, 64}) RangeCase(130, 1100, 64, radius).expect_same_results();
}

TEST(EmulatedRangeSearch, FixedSizeGivesTheNearestAndAllCounts) {
  for (int64_t max_results : {1, 40, 1200}) {
    RangeCase(4, 1100, 32, 14).expect_same_nearest(max_results);
    RangeCase(4, 1100, 32, 14, 3).expect_same_nearest(max_results);
  }
}

TEST(EmulatedRangeSearch, OnlyAllowedCodes) {
  for (int64_t num_queries : {3, 40}) {
    for (int64_t step : {1, 5, 2000}) RangeCase(num_queries, 1100, 64, 30, step).expect_same_results();
  }
}

}  // namespace
}  // namespace hashkernels
