// Databases large enough for the search by limits.
#include "topk_cases.hpp"

namespace hashkernels {
namespace {

using namespace testing;

constexpr int64_t kNumDatabase = 16500;

TEST(EmulatedTopKByLimits, SameAsCpuAtEveryWidth) {
  for (int bits : {3, 32, 40, 48, 64, 72, 128, 144, 192, 256, 264, 512, 1023}) {
    const RandomCodes queries(19, bits, 1), database(kNumDatabase, bits, 2);
    expect_same_topk(queries, database, {7}, {}, bits % 3, 1, 2);
    if (bits % 32 != 0) continue;
    for (const size_t alignment : {size_t{16}, kOdd}) {
      expect_same_topk(queries, database, {7}, {}, 0, alignment, 2);
    }
  }
}

// As many of both methods, which take turns, as other kernels have: with matrices, wide codes, and few queries.
TEST(EmulatedTopKByLimits, ManySchedules) {
  for (auto [num_queries, bits] : {std::pair{19, 64}, std::pair{19, 264}, std::pair{2, 32}}) {
    const RandomCodes queries(num_queries, bits, 1), database(kNumDatabase, bits, 2);
    expect_same_topk(queries, database, {7}, {}, 0, 16, 2 * kSchedules);
  }
}

TEST(EmulatedTopKByLimits, FewQueries) {
  for (int bits : {64, 128, 512}) {
    expect_same_topk(RandomCodes(2, bits, 3), RandomCodes(70001, bits, 4), {1, 100}, {}, 0, 16, 2);
  }
}

TEST(EmulatedTopKByLimits, MoreQueriesThanATile) {
  expect_same_topk(RandomCodes(130, 64, 5), RandomCodes(kNumDatabase, 64, 6), {1, 300, 1024}, {}, 0, 8, 2);
}

// Whatever is near comes last, or first.
TEST(EmulatedTopKByLimits, DatabasesInOrder) {
  RandomCodes queries(20, 64, 7), database(kNumDatabase, 64, 8);
  std::vector<std::vector<uint8_t>> rows;
  for (int64_t n = 0; n < kNumDatabase; ++n) rows.emplace_back(database.row(n), database.row(n) + 8);
  const auto distance = [&](const std::vector<uint8_t>& row) {
    int sum = 0;
    for (int b = 0; b < 8; ++b) sum += std::popcount(static_cast<uint8_t>(row[b] ^ queries.row(0)[b]));
    return sum;
  };
  for (const int sign : {1, -1}) {
    std::stable_sort(rows.begin(), rows.end(),
                     [&](const auto& a, const auto& b) { return sign * distance(a) < sign * distance(b); });
    for (int64_t n = 0; n < kNumDatabase; ++n) std::copy_n(rows[n].data(), 8, database.row(n));
    expect_same_topk(queries, database, {10, 200}, {}, 0, 8, 2);
  }
}

// More codes equally near than there is room for: the counting sort takes over, for those queries.
TEST(EmulatedTopKByLimits, ManyEqualCodes) {
  RandomCodes queries(33, 64, 9), database(kNumDatabase, 64, 10);
  expect_same_topk(queries, database, {5}, {}, 0, 8, 2);
  // A far code for the sample and the start, which leaves the limit far away, then thousands of one that is nearer.
  for (int64_t n = 0; n < kNumDatabase; ++n) {
    for (int b = 0; b < 8; ++b) {
      const uint8_t near = queries.row(0)[b];
      database.row(n)[b] = n % 16 == 0 || n < 3000 ? static_cast<uint8_t>(~near) : near;
    }
  }
  // What is lost depends on which block comes first.
  expect_same_topk(queries, database, {5, 1000}, {}, 0, 8, 8);
  for (int64_t n = 0; n < kNumDatabase; ++n) std::copy_n(queries.row(0), 8, database.row(n));
  expect_same_topk(queries, database, {5, 1000}, {}, 0, 8, 2);
}

// Candidates are counted in 32 bits; the counting sort has 64.
TEST(EmulatedTopKByLimits, NotForMoreCodesThanCanBeCounted) {
  constexpr int64_t kMost = UINT32_MAX;
  EXPECT_GT(cuda::topk_workspace(3, kMost, 1, 10), cuda::range_workspace(3, kMost, 1, 8));
  EXPECT_EQ(cuda::topk_workspace(3, kMost + 1, 1, 10), cuda::range_workspace(3, kMost + 1, 1, 8));
}

TEST(EmulatedTopKByLimits, OnlyAllowedCodesAndPaddingBehindThem) {
  const RandomCodes queries(18, 64, 11), database(kNumDatabase, 64, 12);
  for (int64_t step : {1, 7, 3000, 20000}) {
    std::vector<uint8_t> allowed(kNumDatabase, 0);
    for (int64_t n = step - 1; n < kNumDatabase; n += step) allowed[n] = 255;
    expect_same_topk(queries, database, {1, 50}, allowed, 0, 8, 2);
  }
}

}  // namespace
}  // namespace hashkernels
