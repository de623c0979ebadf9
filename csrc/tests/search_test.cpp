#include "hashkernels/search.h"

#include <algorithm>
#include <utility>

#include "../cpu/database.hpp"
#include "testing.hpp"

namespace hashkernels {
namespace {

using Row = std::vector<std::pair<int32_t, int64_t>>;  // (distance, index)

// All allowed codes by a sort on (distance, index).
Row sorted_row(const Codes& queries, int64_t q, const Codes& database, const std::vector<uint8_t>& allowed) {
  Row row;
  for (int64_t n = 0; n < database.num_codes; ++n) {
    if (allowed.empty() || allowed[n] != 0) row.emplace_back(testing::distance(queries, q, database, n), n);
  }
  std::sort(row.begin(), row.end());
  return row;
}

class TopK : public testing::ForEachIsa {
 protected:
  static void expect_exact(const Codes& queries, const Codes& database, const std::vector<int64_t>& ks,
                           const std::vector<uint8_t>& allowed = {}) {
    std::vector<Row> rows;
    for (int64_t q = 0; q < queries.num_codes; ++q) rows.push_back(sorted_row(queries, q, database, allowed));
    for (int64_t k : ks) {
      for (int threads : {1, 3}) {
        std::vector<int32_t> distances(queries.num_codes * k, -7);
        std::vector<int64_t> indices(queries.num_codes * k, -7);
        ASSERT_EQ(topk(queries, database, k, allowed.empty() ? nullptr : allowed.data(), distances.data(),
                       indices.data(), threads),
                  Status::kOk);
        for (int64_t q = 0; q < queries.num_codes; ++q) {
          for (int64_t i = 0; i < k; ++i) {
            const auto expected =
                i < static_cast<int64_t>(rows[q].size()) ? rows[q][i] : std::pair<int32_t, int64_t>(INT32_MAX, -1);
            ASSERT_EQ(distances[q * k + i], expected.first) << "q " << q << " i " << i << " k " << k;
            ASSERT_EQ(indices[q * k + i], expected.second) << "q " << q << " i " << i << " k " << k;
          }
        }
      }
    }
  }
};

TEST_P(TopK, EqualsASortAtEveryWidth) {
  for (int bits :
       {1, 7, 8, 9, 16, 20, 31, 32, 40, 48, 56, 63, 64, 65, 96, 100, 112, 127, 128, 129, 256, 264, 512, 1023, 4096}) {
    const int64_t num_database = bits > 1000 ? 1100 : 2100;
    const testing::RandomCodes database(num_database, bits, 2, bits % 2 * 5);
    // Few enough to be compared one by one, and more.
    for (int num_queries : {3, 9}) {
      const testing::RandomCodes queries(num_queries, bits, 1, 3);
      expect_exact(queries.view(), database.view(), {1, 10, 1000});
    }
  }
}

TEST_P(TopK, EqualsASortForManyQueries) {
  for (int bits : {8, 24, 64, 136, 300}) {
    const testing::RandomCodes queries(130, bits, 3), database(1537, bits, 4);
    expect_exact(queries.view(), database.view(), {1, 100});
  }
}

// From 131072 codes on the first threshold is a guess from a sample of the blocks.
TEST_P(TopK, EqualsASortInALargeDatabase) {
  for (int bits : {16, 64}) {
    const testing::RandomCodes queries(17, bits, 34), database(140001, bits, 35);
    expect_exact(queries.view(), database.view(), {1, 60, 1000});
  }
}

// What is nearest to some of the queries lies in the 13 blocks that the sample takes, so it promises more than there
// is.
TEST_P(TopK, RecoversFromAMisleadingSample) {
  testing::RandomCodes queries(17, 64, 36), database(140000, 64, 37);
  for (int64_t i = 0; i < 13; ++i) {
    const int64_t block = (2 * i + 1) * 274 / 26;
    for (int64_t n = 512 * block; n < 512 * (block + 1); ++n) std::copy_n(queries.row(n % 9), 8, database.row(n));
  }
  expect_exact(queries.view(), database.view(), {1000});
  std::vector<uint8_t> allowed(140000, 0);
  for (int64_t n = 0; n < 140000; n += 5) allowed[n] = 1;
  expect_exact(queries.view(), database.view(), {1000}, allowed);
}

TEST_P(TopK, TakesKUpToTheWholeDatabase) {
  for (int64_t num_database : {1, 2, 511, 512, 513, 1300}) {
    const testing::RandomCodes queries(3, 24, 5), database(num_database, 24, 6);
    expect_exact(queries.view(), database.view(), {1, (num_database + 1) / 2, num_database});
  }
}

TEST_P(TopK, GivesTheLowestIndicesAmongEqualCodes) {
  testing::RandomCodes queries(2, 64, 7), database(5000, 64, 8);
  for (int64_t n = 0; n < 5000; ++n) std::copy_n(queries.row(0), 8, database.row(n));
  expect_exact(queries.view(), database.view(), {1, 100, 1999, 5000});
}

TEST_P(TopK, TakesADatabaseThatOnlyGetsNearer) {
  testing::RandomCodes queries(40, 64, 9), database(6000, 64, 10);
  for (int64_t n = 0; n < 6000; ++n) {
    std::copy_n(queries.row(0), 8, database.row(n));
    for (int64_t bit = 0; bit < 64 - n / 94; ++bit) database.row(n)[bit / 8] ^= 1 << bit % 8;
  }
  expect_exact(queries.view(), database.view(), {1, 7, 300});
}

TEST_P(TopK, ReturnsOnlyAllowedCodesAndPadsTheRest) {
  const testing::RandomCodes queries(4, 100, 11), database(3000, 100, 12);
  for (int64_t step : {1, 2, 7, 700, 4000}) {
    std::vector<uint8_t> allowed(3000, 0);
    for (int64_t n = step - 1; n < 3000; n += step) allowed[n] = 255;
    expect_exact(queries.view(), database.view(), {1, 5, 3000}, allowed);
  }
}

// Two parts, of which the first has nothing that may be found: its thread is done at once, and takes over from the
// other.
struct UnequalParts {
  static constexpr int64_t kQueries = 100, kCodes = 600'000;
  const testing::RandomCodes queries{kQueries, 16, 66}, database{kCodes, 16, 67};
  std::vector<uint8_t> allowed = std::vector<uint8_t>(kCodes, 1);

  UnequalParts() {
    EXPECT_EQ(SearchPlan(kQueries, kCodes, 2).num_parts, 2);
    std::fill_n(allowed.begin(), kCodes / 2, 0);
  }
};

TEST_P(TopK, EqualsOneThreadWhereWorkIsTakenOver) {
  const UnequalParts in;
  for (int64_t k : {3, 60}) {
    std::vector<int32_t> distances[2];
    std::vector<int64_t> indices[2];
    for (int i = 0; i < 2; ++i) {
      distances[i].resize(in.kQueries * k);
      indices[i].resize(in.kQueries * k);
      ASSERT_EQ(topk(in.queries.view(), in.database.view(), k, in.allowed.data(), distances[i].data(),
                     indices[i].data(), i + 1),
                Status::kOk);
    }
    EXPECT_EQ(distances[0], distances[1]);
    EXPECT_EQ(indices[0], indices[1]);
  }
}

TEST_P(TopK, ReadsRowsInAnyOrder) {
  const testing::RandomCodes queries(2, 64, 13), database(1000, 64, 14);
  const Codes view = database.view();
  expect_exact(queries.view(), {view.row(999), 1000, -view.stride, 8}, {1, 50});
  expect_exact(queries.view(), {view.row(5), 1000, 0, 8}, {3});
}

class RangeSearch : public testing::ForEachIsa {
 protected:
  static void expect_exact(const Codes& queries, const Codes& database, int radius,
                           const std::vector<uint8_t>& allowed = {}) {
    const uint8_t* filter = allowed.empty() ? nullptr : allowed.data();
    std::vector<Row> rows;
    for (int64_t q = 0; q < queries.num_codes; ++q) {
      rows.push_back(sorted_row(queries, q, database, allowed));
      while (!rows[q].empty() && rows[q].back().first > radius) rows[q].pop_back();
    }
    for (int threads : {1, 3}) {
      std::vector<int64_t> counts(queries.num_codes, -7);
      ASSERT_EQ(range_count(queries, database, radius, filter, counts.data(), threads), Status::kOk);
      for (int64_t max_results : {0, 1, 20, 400}) {
        RangeFinds finds;
        ASSERT_EQ(range_search(queries, database, radius, max_results, filter, &finds, threads), Status::kOk);
        const int64_t* offsets = finds.offsets();
        std::vector<int32_t> distances(offsets[queries.num_codes] + 1, -7);
        std::vector<int64_t> indices(offsets[queries.num_codes] + 1, -7);
        ASSERT_EQ(finds.write(distances.data(), indices.data(), threads), Status::kOk);
        for (int64_t q = 0; q < queries.num_codes; ++q) {
          const int64_t within = static_cast<int64_t>(rows[q].size());
          ASSERT_EQ(counts[q], within) << radius;
          ASSERT_EQ(finds.counts()[q], within) << radius;
          ASSERT_EQ(offsets[q + 1] - offsets[q], max_results == 0 ? within : std::min(within, max_results));
          for (int64_t i = 0; i < offsets[q + 1] - offsets[q]; ++i) {
            ASSERT_EQ(distances[offsets[q] + i], rows[q][i].first);
            ASSERT_EQ(indices[offsets[q] + i], rows[q][i].second);
          }
        }
        ASSERT_EQ(distances.back(), -7);
      }
    }
  }
};

TEST_P(RangeSearch, EqualsASortAtEveryWidthAndRadius) {
  for (int bits : {1, 8, 15, 64, 65, 200, 264, 1000}) {
    const testing::RandomCodes queries(3, bits, 15, 1), database(1400, bits, 16);
    for (int radius : {0, 1, bits / 2 - 1, bits / 2, bits, bits + 100}) {
      if (radius >= 0) expect_exact(queries.view(), database.view(), radius);
    }
  }
}

TEST_P(RangeSearch, EqualsASortForManyQueries) {
  const testing::RandomCodes queries(150, 64, 17), database(1100, 64, 18);
  for (int radius : {20, 27, 64}) expect_exact(queries.view(), database.view(), radius);
}

TEST_P(RangeSearch, FindsOnlyWhatIsAllowed) {
  const testing::RandomCodes queries(20, 64, 21), database(1100, 64, 22);
  std::vector<uint8_t> allowed(1100);
  for (size_t n = 0; n < allowed.size(); ++n) allowed[n] = n % 5 == 0 ? 9 : 0;
  for (int radius : {20, 30, 64}) expect_exact(queries.view(), database.view(), radius, allowed);
}

TEST_P(RangeSearch, FindsEveryEqualCode) {
  const testing::RandomCodes database(700, 40, 19);
  expect_exact({database.view().row(3), 1, 5, 5}, {database.view().row(3), 700, 0, 5}, 0);
}

TEST_P(RangeSearch, EqualsOneThreadWhereWorkIsTakenOver) {
  const UnequalParts in;
  std::vector<int64_t> counts[2], indices[2];
  std::vector<int32_t> distances[2];
  for (int i = 0; i < 2; ++i) {
    counts[i].resize(in.kQueries);
    ASSERT_EQ(range_count(in.queries.view(), in.database.view(), 1, in.allowed.data(), counts[i].data(), i + 1),
              Status::kOk);
    RangeFinds finds;
    ASSERT_EQ(range_search(in.queries.view(), in.database.view(), 1, 20, in.allowed.data(), &finds, i + 1),
              Status::kOk);
    ASSERT_TRUE(std::equal(counts[i].begin(), counts[i].end(), finds.counts()));
    distances[i].resize(finds.offsets()[in.kQueries]);
    indices[i].resize(finds.offsets()[in.kQueries]);
    ASSERT_EQ(finds.write(distances[i].data(), indices[i].data(), i + 1), Status::kOk);
  }
  EXPECT_EQ(indices[0].size(), 20 * in.kQueries);
  EXPECT_EQ(counts[0], counts[1]);
  EXPECT_EQ(distances[0], distances[1]);
  EXPECT_EQ(indices[0], indices[1]);
}

// Both forms of a database under every method that reads them, whatever a search of this size would choose.
class EveryMethod : public testing::ForEachIsa {
 protected:
  static void expect_exact(const Codes& queries, const Codes& codes, const std::vector<int64_t>& ks,
                           const std::vector<uint8_t>& allowed = {}) {
    const uint8_t* filter = allowed.empty() ? nullptr : allowed.data();
    std::vector<uint64_t> planes(sliced_size(codes.num_codes, codes.num_bytes) / 8);
    ASSERT_EQ(slice_codes(codes, 0, planes.data(), 1), Status::kOk);
    const SlicedCodes sliced{planes.data(), codes.num_codes, codes.num_bytes};
    std::vector<Row> rows;
    for (int64_t q = 0; q < queries.num_codes; ++q) rows.push_back(sorted_row(queries, q, codes, allowed));
    for (ScanMethod method : {ScanMethod::kRows, ScanMethod::kPlanes, ScanMethod::kTables}) {
      SCOPED_TRACE(scan_method_name(method));
      for (Database database : {Database(codes, filter), Database(sliced, filter)}) {
        const bool has_planes = database.planes != nullptr, is_few = codes.num_codes <= kBlockCodes;
        if (method == ScanMethod::kPlanes && !has_planes) continue;
        if (method == ScanMethod::kRows && has_planes && !is_few) continue;
        database.method = method;
        for (int64_t k : ks) expect_nearest(queries, database, k, rows, 1);
        expect_within(queries, database, 4 * codes.num_bytes - 3, rows, 1);
      }
    }
    for (const Database& database : {Database(codes, filter), Database(sliced, filter)}) {
      expect_nearest(queries, database, ks[0], rows, 3);
      expect_within(queries, database, 4 * codes.num_bytes - 3, rows, 3);
    }
  }

 private:
  static void expect_nearest(const Codes& queries, const Database& database, int64_t k, const std::vector<Row>& rows,
                             int num_threads) {
    std::vector<int32_t> distances(queries.num_codes * k, -7);
    std::vector<int64_t> indices(queries.num_codes * k, -7);
    ASSERT_EQ(topk(queries, database, k, distances.data(), indices.data(), num_threads), Status::kOk);
    for (int64_t q = 0; q < queries.num_codes; ++q) {
      Row expected(rows[q].begin(), rows[q].begin() + std::min<int64_t>(k, rows[q].size()));
      expected.resize(k, {INT32_MAX, -1});
      for (int64_t i = 0; i < k; ++i) {
        ASSERT_EQ(Row::value_type(distances[q * k + i], indices[q * k + i]), expected[i]) << q << " " << i << " " << k;
      }
    }
  }

  static void expect_within(const Codes& queries, const Database& database, int radius, const std::vector<Row>& rows,
                            int num_threads) {
    std::vector<int64_t> counts(queries.num_codes, -7);
    ASSERT_EQ(range_count(queries, database, radius, counts.data(), num_threads), Status::kOk);
    RangeFinds finds;
    ASSERT_EQ(range_search(queries, database, radius, 0, &finds, num_threads), Status::kOk);
    const int64_t* offsets = finds.offsets();
    std::vector<int32_t> distances(offsets[queries.num_codes] + 1);
    std::vector<int64_t> indices(distances.size());
    ASSERT_EQ(finds.write(distances.data(), indices.data(), 1), Status::kOk);
    for (int64_t q = 0; q < queries.num_codes; ++q) {
      Row expected = rows[q];
      while (!expected.empty() && expected.back().first > radius) expected.pop_back();
      Row found;
      for (int64_t i = offsets[q]; i < offsets[q + 1]; ++i) found.emplace_back(distances[i], indices[i]);
      ASSERT_EQ(found, expected) << q;
      ASSERT_EQ(counts[q], static_cast<int64_t>(expected.size())) << q;
    }
  }
};

TEST_P(EveryMethod, EqualsASortWhereTheChoiceChanges) {
  const struct {
    int64_t num_queries, num_database;
    int bits;
  } sizes[] = {{1, 1, 64},      {3, 5, 8},       {4, 511, 64},   {5, 513, 64},    {3, 1000, 20},
               {7, 1350, 256},  {40, 1350, 256}, {8, 1027, 264}, {3, 700, 96},    {10, 601, 2048},
               {2, 1023, 4096}, {30, 1100, 128}, {2, 1000, 192}, {33, 530, 1000}, {6, 4000, 16}};
  for (const auto& size : sizes) {
    SCOPED_TRACE(::testing::Message() << size.num_queries << " x " << size.num_database << " x " << size.bits);
    const testing::RandomCodes queries(size.num_queries, size.bits, 50, 1);
    for (int64_t extra_stride : {0, 3}) {
      const testing::RandomCodes database(size.num_database, size.bits, 51, extra_stride);
      expect_exact(queries.view(), database.view(), {1, std::min<int64_t>(10, size.num_database), size.num_database});
    }
  }
}

TEST_P(EveryMethod, EqualsASortAtEveryWidth) {
  for (int num_bytes = 1; num_bytes <= 70; ++num_bytes) {
    const testing::RandomCodes queries(6, 8 * num_bytes, 30), database(601, 8 * num_bytes, 31);
    expect_exact(queries.view(), database.view(), {1, 40});
  }
  for (int bits : {1, 63, 1023, 2056, 4096}) {
    const testing::RandomCodes queries(6, bits, 32), database(702, bits, 33, 1);
    expect_exact(queries.view(), database.view(), {10, 702});
  }
}

TEST_P(EveryMethod, EqualsASortOfWhatAFilterLeaves) {
  for (int bits : {40, 64, 300}) {
    const testing::RandomCodes queries(6, bits, 52), database(1500, bits, 53);
    for (int64_t first : {0, 505, 1490}) {  // in the first block all, few and none
      std::vector<uint8_t> allowed(1500, 0);
      for (int64_t n = first; n < 1500; n += 3) allowed[n] = 1;
      expect_exact(queries.view(), database.view(), {1, 20, 600}, allowed);
    }
  }
}

TEST_P(EveryMethod, EqualsASortOfFewCodes) {
  const struct {
    int64_t num_queries, num_database;
    int bits;
  } sizes[] = {{300, 1, 8}, {300, 2, 2048}, {270, 38, 48}, {20, 12, 1024}, {7, 64, 64},
               {7, 65, 64}, {3, 200, 4096}, {9, 512, 16},  {5, 511, 7},    {9, 100, 256}};
  for (const auto& size : sizes) {
    SCOPED_TRACE(::testing::Message() << size.num_queries << " x " << size.num_database << " x " << size.bits);
    const testing::RandomCodes queries(size.num_queries, size.bits, 60), database(size.num_database, size.bits, 61, 1);
    const std::vector<int64_t> ks{1, std::min<int64_t>(2, size.num_database), (size.num_database + 1) / 2,
                                  size.num_database};
    expect_exact(queries.view(), database.view(), ks);
    for (int64_t step : {1, 3, 1000}) {
      std::vector<uint8_t> allowed(size.num_database, 0);
      for (int64_t n = 2; n < size.num_database; n += step) allowed[n] = 1;
      expect_exact(queries.view(), database.view(), ks, allowed);
    }
  }
}

// More equal distances than are wanted, and none between the nearest and the farthest.
TEST_P(EveryMethod, EqualsASortOfFewCodesInClusters) {
  for (int bits : {8, 64, 4096}) {
    testing::RandomCodes queries(2, bits, 62), database(300, bits, 63);
    for (int64_t n = 0; n < 300; ++n) {
      std::copy_n(queries.row(0), bits / 8, database.row(n));
      if (n % 3 != 0) {
        for (int byte = 0; byte < bits / 8; ++byte) database.row(n)[byte] = ~database.row(n)[byte];
      }
    }
    expect_exact(queries.view(), database.view(), {1, 20, 33, 100, 101, 250, 300});
  }
}

// 2,100 queries, each of which keeps 12 KB, go in rounds.
TEST_P(EveryMethod, EqualsASortInSeveralRounds) {
  const testing::RandomCodes queries(2100, 16, 64), database(1500, 16, 65);
  expect_exact(queries.view(), database.view(), {700});
}

// With k = 60 the first thresholds come from a sample of so many blocks.
TEST_P(EveryMethod, EqualsASortInALargeDatabase) {
  const testing::RandomCodes queries(3, 32, 54), database(132000, 32, 55);
  expect_exact(queries.view(), database.view(), {1, 60});
}

// Queries leave the scan one after the other, once k codes equal to them were found.
TEST_P(EveryMethod, EqualsASortWhereQueriesAreDoneEarly) {
  testing::RandomCodes queries(9, 64, 56), database(3000, 64, 57);
  for (int64_t n = 0; n < 3000; ++n) {
    if (n % 5 != 0) std::copy_n(queries.row(n / 300 % 9), 8, database.row(n));
  }
  expect_exact(queries.view(), database.view(), {1, 30, 240});
}

TEST(PlanScan, ComparesWhatEachMethodCosts) {
  const ScanCosts costs{.row = 1,
                        .row_word = 2,
                        .row_in_place = 1,
                        .plane_byte = 64,
                        .query_byte = 10,
                        .slice_word = 1000,
                        .table_byte = 640,
                        .sum_byte = 0};
  // A block of 4 bytes a code, in planes: 296 a query, or 2560 + 1000, and 40 a query.
  EXPECT_EQ(plan_scan(costs, {true, 4, 13, 512, true}).method, ScanMethod::kPlanes);
  EXPECT_EQ(plan_scan(costs, {true, 4, 14, 512, true}).method, ScanMethod::kTables);
  // Two blocks, and 8 bytes: 1104 a query, or 10240 + 2000, and 80 a query.
  EXPECT_EQ(plan_scan(costs, {true, 8, 11, 513, false}).method, ScanMethod::kPlanes);
  EXPECT_EQ(plan_scan(costs, {true, 8, 12, 513, false}).method, ScanMethod::kTables);
  // Rows are as many as there are: 600 codes at 3 a query, or two blocks of 2560 + 1000, and 40 a query.
  EXPECT_EQ(plan_scan(costs, {false, 4, 4, 600, false}).method, ScanMethod::kRows);
  EXPECT_EQ(plan_scan(costs, {false, 4, 5, 600, false}).method, ScanMethod::kTables);
  // In place at 1: 1024 a query, or two blocks of 5120 + 1000, and 80 a query.
  EXPECT_EQ(plan_scan(costs, {false, 8, 12, 1024, false}).method, ScanMethod::kRows);
  EXPECT_EQ(plan_scan(costs, {false, 8, 13, 1024, false}).method, ScanMethod::kTables);
  // Eight words at 17: 17408 a query, or 1.4 * 2 * (40960 + 8000), and 640 a query.
  EXPECT_EQ(plan_scan(costs, {false, 64, 8, 1024, false}).method, ScanMethod::kRows);
  EXPECT_EQ(plan_scan(costs, {false, 64, 9, 1024, false}).method, ScanMethod::kTables);
  // Few codes at 30 and 3.2 a code and query, and from planes once 1000 and 3 a code; or what a block takes, and
  // beside it 1500, and 200 a query.
  EXPECT_EQ(plan_scan(costs, {false, 4, 60, 30, true}).method, ScanMethod::kRows);
  EXPECT_EQ(plan_scan(costs, {true, 4, 1, 1, true}).method, ScanMethod::kRows);
  EXPECT_EQ(plan_scan(costs, {true, 4, 100, 60, true}).method, ScanMethod::kRows);
  EXPECT_EQ(plan_scan(costs, {true, 4, 100, 90, true}).method, ScanMethod::kTables);
  // A block that is a part of the codes: 320 a query.
  EXPECT_EQ(plan_scan(costs, {true, 4, 1, 512, false}).method, ScanMethod::kPlanes);
}

HASHKERNELS_FOR_EACH_ISA(TopK);
HASHKERNELS_FOR_EACH_ISA(RangeSearch);
HASHKERNELS_FOR_EACH_ISA(EveryMethod);

}  // namespace
}  // namespace hashkernels
