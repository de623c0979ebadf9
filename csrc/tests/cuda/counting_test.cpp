#include "hashkernels/counting.h"

#include <algorithm>
#include <random>

#include "emulated.hpp"
#include "quotient.cuh"

namespace hashkernels {
namespace {

using namespace testing;

struct Case {
  int bits;
  int64_t num_queries, num_database;
  int label_words;
  int64_t extra_stride;
  size_t alignment;
};

// Several chunks, pieces and blocks; every way to read codes; counters in shared and, at 4096 bits, in global memory.
const Case kCases[] = {{1, 1, 1, 0, 0, 1},       {7, 3, 700, 0, 2, 1},     {32, 4, 1500, 0, 0, 4},
                       {48, 5, 1030, 1, 0, 2},   {64, 150, 1100, 0, 0, 8}, {65, 2, 513, 2, 0, 1},
                       {128, 3, 1600, 0, 0, 16}, {129, 33, 600, 1, 3, 1},  {256, 2, 520, 0, 0, 16},
                       {600, 2, 530, 0, 0, 1},   {1023, 2, 300, 0, 0, 1},  {4096, 2, 1100, 3, 0, 1}};

class Inputs {
 public:
  explicit Inputs(const Case& c)
      : host_queries(c.num_queries, c.bits, 1),
        host_database(c.num_database, c.bits, 2),
        query_labels(c.num_queries, c.label_words, 3),
        database_labels(c.num_database, c.label_words, 4),
        queries(host_queries.view(), c.extra_stride, c.alignment),
        database(host_database.view(), c.extra_stride, c.alignment) {}

  RandomCodes host_queries, host_database;
  RandomLabels query_labels, database_labels;
  DeviceCodes queries, database;
};

void expect_same_counts(const Case& c, uint64_t schedules = kSchedules) {
  Inputs in(c);
  const size_t size = c.num_queries * (8 * ((c.bits + 7) / 8) + 1);
  std::vector<int64_t> total(size), relevant(size);
  ASSERT_EQ(retrieval_counts(in.host_queries.view(), in.host_database.view(), in.query_labels.host(),
                             in.database_labels.host(), total.data(), relevant.data(), 1),
            Status::kOk);
  for_each_schedule(
      [&] {
        emulator::DeviceArray<int64_t> device_total(size), device_relevant(size);
        ASSERT_EQ(cuda::retrieval_counts(in.queries.view(), in.database.view(), in.query_labels.device(),
                                         in.database_labels.device(), device_total.data(), device_relevant.data(), 0,
                                         nullptr),
                  Status::kOk);
        ASSERT_EQ(device_total.host(), total) << c.bits << " bits";
        ASSERT_EQ(device_relevant.host(), relevant) << c.bits << " bits";
      },
      schedules);
}

void expect_same_precision(const Case& c, const std::vector<int64_t>& cutoffs, uint64_t schedules = kSchedules) {
  Inputs in(c);
  const int num_cutoffs = static_cast<int>(cutoffs.size());
  const size_t size = c.num_queries * num_cutoffs;
  const int num_bytes = (c.bits + 7) / 8;
  // Of the database alone, and of one that has more codes at each distance.
  std::vector<int64_t> start_ranks(c.num_queries * (8 * num_bytes + 1)), start_hits(start_ranks.size());
  ASSERT_EQ(retrieval_counts(in.host_queries.view(), in.host_database.view(), in.query_labels.host(),
                             in.database_labels.host(), start_ranks.data(), start_hits.data(), 1),
            Status::kOk);
  for (size_t row = 0; row < start_ranks.size(); row += 8 * num_bytes + 1) {
    int64_t ranks = 3, hits = 1;
    for (size_t i = row; i < row + 8 * num_bytes + 1; ++i) {
      ranks += std::exchange(start_ranks[i], ranks) + 5;
      hits += std::exchange(start_hits[i], hits) + 2;
    }
  }
  for (const bool of_a_part : {false, true}) {
    std::vector<int64_t> sums(3 * size);
    const RankStarts starts = of_a_part ? RankStarts{start_ranks.data(), start_hits.data()} : RankStarts{};
    ASSERT_EQ(index_order_sums(in.host_queries.view(), in.host_database.view(), in.query_labels.host(),
                               in.database_labels.host(), starts, cutoffs.data(), num_cutoffs, sums.data(), 1),
              Status::kOk);
    emulator::DeviceArray<int64_t> ranks(start_ranks), hits(start_hits);
    for_each_schedule(
        [&] {
          emulator::DeviceArray<int64_t> device_sums(3 * size);
          emulator::DeviceArray<int64_t> workspace(
              cuda::index_order_workspace(c.num_queries, c.num_database, num_bytes));
          ASSERT_EQ(cuda::index_order_sums(
                        in.queries.view(), in.database.view(), in.query_labels.device(), in.database_labels.device(),
                        of_a_part ? RankStarts{ranks.data(), hits.data()} : RankStarts{}, cutoffs.data(), num_cutoffs,
                        device_sums.data(), workspace.data(), 0, nullptr),
                    Status::kOk);
          ASSERT_EQ(device_sums.host(), sums) << c.bits << " bits";
        },
        schedules);
  }
}

TEST(EmulatedCounting, CountsAreThoseOfTheCpu) {
  for (const Case& c : kCases) expect_same_counts(c);
}

TEST(EmulatedCounting, ChunksLongerThanACounterHolds) {
  expect_same_counts({8, 130, 70000, 0, 0, 1}, 1);
  expect_same_counts({1, 3, 140000, 0, 0, 1}, 1);
  expect_same_precision({8, 3, 70000, 0, 0, 1}, {5, 70000}, 2);
}

TEST(EmulatedCounting, AnEmptyDatabaseHasNoCounts) {
  const RandomCodes host(2, 8, 1);
  DeviceCodes queries(host.view());
  RandomLabels labels(2, 0, 1);
  emulator::DeviceArray<int64_t> total(18), relevant(18);
  ASSERT_EQ(cuda::retrieval_counts(queries.view(), {nullptr, 0, 1, 1}, labels.device(), {nullptr, 0}, total.data(),
                                   relevant.data(), 0, nullptr),
            Status::kOk);
  EXPECT_EQ(total.host(), std::vector<int64_t>(18, 0));
  EXPECT_EQ(relevant.host(), std::vector<int64_t>(18, 0));
}

TEST(EmulatedIndexOrder, PrecisionIsThatOfTheCpuBitForBit) {
  for (const Case& c : kCases) {
    std::vector<int64_t> cutoffs{1, std::max<int64_t>(1, c.num_database / 3), c.num_database};
    cutoffs.erase(std::unique(cutoffs.begin(), cutoffs.end()), cutoffs.end());
    expect_same_precision(c, cutoffs);
  }
}

// Also where doubles lie thickest around the quotient, and next to powers of two.
TEST(EmulatedIndexOrder, QuotientsAreCorrectlyRounded) {
  std::mt19937_64 random(1);
  const auto expect_rounded = [](uint32_t a, uint32_t b) {
    ASSERT_EQ(cuda::quotient(a, b), static_cast<double>(a) / static_cast<double>(b)) << a << " / " << b;
  };
  for (int i = 0; i < 2000000; ++i) {
    const uint32_t b = (static_cast<uint32_t>(random()) >> random() % 31) | 1u;
    expect_rounded(1 + static_cast<uint32_t>(random() % b), b);
    expect_rounded(b - static_cast<uint32_t>(random() % std::min<uint32_t>(b, 4)), b);
    expect_rounded(1 + b / 2, b);
  }
  for (uint32_t b = 1; b <= 1500; ++b) {
    for (uint32_t a = 1; a <= b; ++a) expect_rounded(a, b);
  }
}

TEST(EmulatedIndexOrder, MoreCutoffsThanOnePassTakes) {
  std::vector<int64_t> cutoffs;
  for (int64_t k = 1; k <= 40; ++k) cutoffs.push_back(k * 25);
  expect_same_precision({16, 3, 1100, 0, 0, 1}, cutoffs);
  expect_same_precision({4096, 1, 1100, 0, 0, 1}, cutoffs, 3);
}

}  // namespace
}  // namespace hashkernels
