#include "hashkernels/distance.h"

#include <cstring>

#include "../cpu/kernels.hpp"
#include "testing.hpp"

namespace hashkernels {
namespace {

class Distance : public testing::ForEachIsa {};

TEST_P(Distance, EqualsBytewisePopcount) {
  for (int bits : {1, 7, 8, 9, 63, 64, 65, 127, 129, 1023, 4096}) {
    for (int64_t num_database : {1, 511, 513, 1300}) {
      const testing::RandomCodes queries(3, bits, 1, 5), database(num_database, bits, 2, bits % 3);
      for (int threads : {1, 3}) {
        std::vector<int32_t> out(3 * num_database, -1);
        ASSERT_EQ(hamming_distance(queries.view(), database.view(), out.data(), threads), Status::kOk);
        for (int64_t q = 0; q < 3; ++q) {
          for (int64_t n = 0; n < num_database; ++n) {
            ASSERT_EQ(out[q * num_database + n], testing::distance(queries.view(), q, database.view(), n)) << bits;
          }
        }
      }
    }
  }
}

TEST_P(Distance, NarrowOutputsHoldTheSameNumbers) {
  const testing::RandomCodes queries(2, 200, 3), database(700, 200, 4);
  std::vector<uint8_t> narrow(1400);
  std::vector<int16_t> middle(1400);
  ASSERT_EQ(hamming_distance(queries.view(), database.view(), narrow.data(), 1), Status::kOk);
  ASSERT_EQ(hamming_distance(queries.view(), database.view(), middle.data(), 1), Status::kOk);
  for (int64_t i = 0; i < 1400; ++i) {
    const int expected = testing::distance(queries.view(), i / 700, database.view(), i % 700);
    ASSERT_EQ(narrow[i], expected);
    ASSERT_EQ(middle[i], expected);
  }
}

// Rows end where their memory does, and so do queries.
TEST_P(Distance, RowsAreMeasuredWhereTheyLie) {
  for (int bits : {1, 8, 40, 72, 256, 320, 321, 384, 511, 512, 520, 1023, 1024, 2000, 4096}) {
    for (int64_t count : {1, 2, 7, 8, 9, 23}) {
      const testing::RandomCodes query(1, bits, 5), rows(count, bits, 6, bits % 3);
      const Codes codes = rows.view();
      std::vector<uint64_t> words((codes.num_bytes + 7) / 8);
      std::memcpy(words.data(), query.view().data, codes.num_bytes);
      std::vector<uint16_t> distances(count + 1, 0xABCD);
      kernels().measure_rows(words.data(), codes.data, codes.stride, codes.num_bytes, static_cast<int>(count),
                             distances.data());
      for (int64_t n = 0; n < count; ++n) {
        ASSERT_EQ(distances[n], testing::distance(query.view(), 0, codes, n)) << bits << " bits, row " << n;
      }
      ASSERT_EQ(distances[count], 0xABCD);
    }
  }
}

HASHKERNELS_FOR_EACH_ISA(Distance);

}  // namespace
}  // namespace hashkernels
