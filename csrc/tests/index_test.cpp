#include "hashkernels/index.h"

#include <cstring>

#include "hashkernels/search.h"
#include "testing.hpp"

namespace hashkernels {
namespace {

constexpr int kWidths[] = {1, 8, 9, 64, 65, 100, 128, 256, 264, 1023, 4096};  // bits

class Index : public testing::ForEachIsa {
 protected:
  // Stores the codes in three goes, none of which ends at a block.
  static std::vector<uint64_t> slice(const Codes& codes) {
    std::vector<uint64_t> planes(sliced_size(codes.num_codes, codes.num_bytes) / 8, 0xA5A5A5A5A5A5A5A5u);
    int64_t first = 0;
    for (int64_t last : {codes.num_codes / 3, codes.num_codes / 3 + 1, codes.num_codes}) {
      const Codes some{codes.row(first), last - first, codes.stride, codes.num_bytes};
      EXPECT_EQ(slice_codes(some, first, planes.data(), 2), Status::kOk);
      first = last;
    }
    return planes;
  }
};

TEST_P(Index, PutsEveryBitWhereTheLayoutSays) {
  const testing::RandomCodes codes(1200, 44, 1, 2);
  const std::vector<uint64_t> planes = slice(codes.view());
  ASSERT_EQ(planes.size(), 3u * 48 * 8);
  const auto* bytes = reinterpret_cast<const uint8_t*>(planes.data());
  for (int n = 0; n < 1200; ++n) {
    for (int b = 0; b < 48; ++b) {
      const uint8_t byte = bytes[n / 512 * 48 * 64 + b * 64 + n % 512 / 8];
      ASSERT_EQ((byte >> (n % 8)) & 1, (codes.view().row(n)[b / 8] >> (b % 8)) & 1);
    }
  }
}

TEST_P(Index, GivesBackWhatWasStored) {
  for (int bits : kWidths) {
    const testing::RandomCodes codes(1700, bits, 2, bits % 3);
    const Codes view = codes.view();
    const std::vector<uint64_t> planes = slice(view);
    const SlicedCodes sliced{planes.data(), 1700, view.num_bytes};
    const int64_t stride = view.num_bytes + 2;
    for (int64_t first : {0, 5, 512, 1699}) {
      const int64_t count = 1700 - first;
      std::vector<uint8_t> rows(count * stride, 0x77), gathered(count * stride, 0x77);
      ASSERT_EQ(unslice_codes(sliced, first, count, rows.data(), stride, 2), Status::kOk);
      std::vector<int64_t> positions;
      for (int64_t i = 0; i < count; ++i) positions.push_back(first + i);
      ASSERT_EQ(gather_codes(sliced, positions.data(), count, gathered.data(), stride), Status::kOk);
      for (int64_t i = 0; i < count; ++i) {
        ASSERT_EQ(std::memcmp(rows.data() + i * stride, view.row(first + i), view.num_bytes), 0) << bits;
        ASSERT_EQ(rows[i * stride + view.num_bytes], 0x77);
      }
      ASSERT_EQ(rows, gathered);
    }
  }
}

TEST_P(Index, SearchesAsOverTheCodesThemselves) {
  for (int bits : kWidths) {
    const testing::RandomCodes database(1700, bits, 3, bits % 2);
    const std::vector<uint64_t> planes = slice(database.view());
    const SlicedCodes sliced{planes.data(), 1700, database.view().num_bytes};
    for (int64_t num_queries : {1, 4, 20, 150}) {
      const testing::RandomCodes queries(num_queries, bits, 4, 1);
      std::vector<uint8_t> allowed(1700);
      for (size_t n = 0; n < allowed.size(); ++n) allowed[n] = n % 3 == 0;
      for (int64_t k : {1, 30, 600}) {
        for (bool filtered : {false, true}) {
          const uint8_t* filter = filtered ? allowed.data() : nullptr;
          std::vector<int32_t> expected_distances(num_queries * k), distances(num_queries * k, -7);
          std::vector<int64_t> expected_indices(num_queries * k), indices(num_queries * k, -7);
          ASSERT_EQ(
              topk(queries.view(), database.view(), k, filter, expected_distances.data(), expected_indices.data(), 1),
              Status::kOk);
          ASSERT_EQ(topk(queries.view(), sliced, k, filter, distances.data(), indices.data(), 2), Status::kOk);
          ASSERT_EQ(distances, expected_distances) << bits;
          ASSERT_EQ(indices, expected_indices) << bits;
        }
      }
      const int radius = bits / 2;
      std::vector<int64_t> expected_counts(num_queries), counts(num_queries, -7);
      ASSERT_EQ(range_count(queries.view(), database.view(), radius, allowed.data(), expected_counts.data(), 1),
                Status::kOk);
      ASSERT_EQ(range_count(queries.view(), sliced, radius, allowed.data(), counts.data(), 2), Status::kOk);
      ASSERT_EQ(counts, expected_counts);
      RangeFinds expected, found;
      ASSERT_EQ(range_search(queries.view(), database.view(), radius, 90, allowed.data(), &expected, 1), Status::kOk);
      ASSERT_EQ(range_search(queries.view(), sliced, radius, 90, allowed.data(), &found, 2), Status::kOk);
      const int64_t total = expected.offsets()[num_queries];
      ASSERT_EQ(found.offsets()[num_queries], total);
      std::vector<int32_t> expected_distances(total), distances(total, -7);
      std::vector<int64_t> expected_indices(total), indices(total, -7);
      ASSERT_EQ(expected.write(expected_distances.data(), expected_indices.data(), 1), Status::kOk);
      ASSERT_EQ(found.write(distances.data(), indices.data(), 2), Status::kOk);
      ASSERT_EQ(distances, expected_distances);
      ASSERT_EQ(indices, expected_indices);
    }
  }
}

TEST(SearchMethod, FollowsTheNumberOfQueries) {
  EXPECT_STREQ(search_method(false, 8, 1, 1000000, 1), "rows");
  EXPECT_STREQ(search_method(true, 8, 1, 1000000, 1), "planes");
  EXPECT_STREQ(search_method(false, 8, 1000, 1000000, 1), "sums");
  EXPECT_STREQ(search_method(true, 8, 1000, 1000000, 2), "sums");
}

HASHKERNELS_FOR_EACH_ISA(Index);

}  // namespace
}  // namespace hashkernels
