#include "hashkernels/hash_tables.h"

#include <algorithm>
#include <utility>

#include "../cpu/hash_tables.hpp"
#include "testing.hpp"

namespace hashkernels {
namespace {

// Tables with the memory they lie in.
struct Built {
  std::vector<uint64_t> planes, rows;
  std::vector<uint16_t> order;
  std::vector<int32_t> widths;
  std::vector<uint32_t> offsets, ids, slots;
  HashTables tables;

  Built(const Codes& codes, int bits, bool little = false)
      : planes(sliced_size(codes.num_codes, codes.num_bytes) / 8), order(8 * codes.num_bytes), widths(kMaxChunks) {
    EXPECT_EQ(slice_codes(codes, 0, planes.data(), 1), Status::kOk);
    const SlicedCodes sliced{planes.data(), codes.num_codes, codes.num_bytes};
    const int num_chunks = choose_chunks(sliced, bits, little, order.data(), widths.data());
    int64_t num_offsets = 0;
    for (int c = 0; c < num_chunks; ++c) num_offsets += (int64_t{1} << widths[c]) + 1;
    const bool whole = num_chunks == 1 && widths[0] == bits;
    offsets.resize(num_offsets);
    rows.resize(whole ? 0 : codes.num_codes * ((codes.num_bytes + 7) / 8));
    ids.resize(codes.num_codes);
    slots.resize((num_chunks - 1) * codes.num_codes);
    tables = {codes.num_codes,
              codes.num_bytes,
              num_chunks,
              widths.data(),
              order.data(),
              offsets.data(),
              whole ? nullptr : rows.data(),
              ids.data(),
              slots.data()};
    EXPECT_EQ(
        build_hash_tables(sliced, tables, offsets.data(), whole ? nullptr : rows.data(), ids.data(), slots.data(), 2),
        Status::kOk);
  }
};

class HashTablesSearch : public testing::ForEachIsa {};

TEST_P(HashTablesSearch, OrdersEveryBitOnce) {
  for (int bits : {1, 16, 64, 100}) {
    const testing::RandomCodes codes(1700, bits, 1);
    std::vector<uint16_t> order = Built(codes.view(), bits).order;
    std::sort(order.begin(), order.end());
    for (size_t i = 0; i < order.size(); ++i) ASSERT_EQ(order[i], i);
  }
}

TEST_P(HashTablesSearch, FewLongCodesHaveRoomForTheirChunks) {
  for (int bits : {2040, 2064, 4096}) {
    for (int64_t num_codes : {1, 5, 100, 255}) {
      const testing::RandomCodes codes(num_codes, bits, 1);
      const Built built(codes.view(), bits);
      ASSERT_LE(built.tables.num_chunks, kMaxChunks);
      int sum = 0;
      for (int c = 0; c < built.tables.num_chunks; ++c) sum += built.widths[c];
      ASSERT_EQ(sum, bits);
    }
  }
}

TEST_P(HashTablesSearch, PadBitsAreInNoChunk) {
  for (const bool little : {false, true}) {
    for (int bits : {1, 9, 12, 15, 20, 44}) {
      testing::RandomCodes codes(1700, bits, 1);
      const int last_byte = (bits - 1) / 8, pad = 7 - (bits - 1) % 8;
      const Built built(codes.view(), bits, little);
      for (int i = 0; i < bits; ++i) {
        const int bit = built.order[i];
        ASSERT_FALSE(bit / 8 == last_byte && (little ? bit % 8 >= 8 - pad : bit % 8 < pad)) << bits << " bits";
      }
    }
  }
}

TEST(HashTables, TagsTakeWhatRowsLeaveOfASlot) {
  for (const auto& [num_codes, bits] : {std::pair<int64_t, int>{1, 12},
                                        {1 << 20, 12},
                                        {(1 << 20) + 1, 11},
                                        {10'000'000, 8},
                                        {int64_t{1} << 30, 2},
                                        {kMaxHashedCodes - 1, 1}}) {
    EXPECT_EQ(tag_bits(num_codes), bits) << num_codes;
  }
}

TEST_P(HashTablesSearch, EverySlotNamesARowOfItsBucketAndItsTag) {
  const testing::RandomCodes codes(1700, 100, 1);
  const Built built(codes.view(), 100);
  const ChunkFields fields(built.tables);
  for (int chunk = 1; chunk < built.tables.num_chunks; ++chunk) {
    const uint32_t* starts = built.offsets.data() + fields.first_offset(chunk);
    const uint32_t* slots = built.slots.data() + (chunk - 1) * 1700;
    std::vector<bool> seen(1700);
    for (uint32_t key = 0; key < uint32_t{1} << built.widths[chunk]; ++key) {
      for (uint32_t at = starts[key]; at < starts[key + 1]; ++at) {
        const uint32_t row = slots[at] & 0xFFFFF;
        ASSERT_LT(row, 1700U);
        ASSERT_FALSE(seen[row]);
        seen[row] = true;
        const uint64_t* words = built.rows.data() + row * 2;
        ASSERT_EQ(fields.key(words, chunk), key);
        ASSERT_EQ(slots[at] >> 20, fields.key(words, (chunk + 1) % built.tables.num_chunks) & 0xFFF);
      }
    }
    ASSERT_TRUE(std::all_of(seen.begin(), seen.end(), [](bool x) { return x; }));
  }
}

TEST_P(HashTablesSearch, LeavesAloneWhatWouldReadMoreThanIsAllowed) {
  const testing::RandomCodes queries(20, 64, 1), database(1700, 64, 2);
  const Built built(database.view(), 64);
  std::vector<int64_t> counts(20, -1);
  for (double most : {1.0, 1e12}) {
    const bool is_enough = most > 1;
    RangeFinds found;
    bool done = !is_enough;
    ASSERT_EQ(range_search(queries.view(), built.tables, 3, 0, nullptr, most, &done, &found, 1), Status::kOk);
    ASSERT_EQ(done, is_enough);
    ASSERT_EQ(found.state != nullptr, done);
    done = !done;
    ASSERT_EQ(range_count(queries.view(), built.tables, 3, nullptr, most, &done, counts.data(), 1), Status::kOk);
    ASSERT_EQ(done, is_enough);
    ASSERT_EQ(counts[0] >= 0, done);
  }
}

TEST_P(HashTablesSearch, LeavesClustersAlone) {
  testing::RandomCodes database(1700, 64, 2);
  for (int64_t n = 1; n < 1700; ++n) std::copy_n(database.row(0), 8, database.row(n));
  testing::RandomCodes queries(3, 64, 1);
  std::copy_n(database.row(0), 8, queries.row(1));
  const Built built(database.view(), 64);
  std::vector<int32_t> distances(3);
  std::vector<int64_t> indices(3), counts(3);
  for (double most : {2000.0, 1e9}) {
    std::vector<uint8_t> done(3, 7);
    ASSERT_EQ(topk(queries.view(), built.tables, 1, nullptr, most, distances.data(), indices.data(), done.data(), 1),
              Status::kOk);
    ASSERT_EQ(done[1], most == 1e9);
    bool is_done = most == 2000;
    ASSERT_EQ(range_count(queries.view(), built.tables, 2, nullptr, most, &is_done, counts.data(), 1), Status::kOk);
    ASSERT_EQ(is_done, most == 1e9);
  }
  ASSERT_EQ(distances[1], 0);
  ASSERT_EQ(indices[1], 0);
  ASSERT_EQ(counts[1], 1700);
}

TEST_P(HashTablesSearch, FindsWhatAScanFinds) {
  for (int bits : {1, 9, 16, 64, 65, 100, 256}) {
    const testing::RandomCodes queries(20, bits, 1);
    testing::RandomCodes database(1700, bits, 2);
    // Neighbours of some queries, at growing distances.
    for (int64_t n = 0; n < 60; ++n) {
      std::copy_n(queries.view().row(n % 20), (bits + 7) / 8, database.row(n));
      database.row(n)[0] ^= static_cast<uint8_t>(0x80 * (n % 2));
    }
    const Built built(database.view(), bits);
    for (int radius : {0, 1, std::min(bits, 6)}) {
      for (int threads : {1, 3}) {
        RangeFinds expected, found;
        ASSERT_EQ(range_search(queries.view(), database.view(), radius, 9, nullptr, &expected, 1), Status::kOk);
        bool done = false;
        ASSERT_EQ(range_search(queries.view(), built.tables, radius, 9, nullptr, 1e9, &done, &found, threads),
                  Status::kOk);
        ASSERT_TRUE(done);
        const int64_t total = expected.offsets()[20];
        ASSERT_EQ(std::vector<int64_t>(found.offsets(), found.offsets() + 21),
                  std::vector<int64_t>(expected.offsets(), expected.offsets() + 21));
        ASSERT_EQ(std::vector<int64_t>(found.counts(), found.counts() + 20),
                  std::vector<int64_t>(expected.counts(), expected.counts() + 20));
        std::vector<int32_t> expected_distances(total), distances(total);
        std::vector<int64_t> expected_indices(total), indices(total);
        ASSERT_EQ(expected.write(expected_distances.data(), expected_indices.data(), 1), Status::kOk);
        ASSERT_EQ(found.write(distances.data(), indices.data(), threads), Status::kOk);
        ASSERT_EQ(distances, expected_distances);
        ASSERT_EQ(indices, expected_indices);
      }
    }
    for (int64_t k : {1, 3, 30}) {
      std::vector<int32_t> expected_distances(20 * k), distances(20 * k);
      std::vector<int64_t> expected_indices(20 * k), indices(20 * k);
      std::vector<uint8_t> done(20, 7);
      ASSERT_EQ(
          topk(queries.view(), database.view(), k, nullptr, expected_distances.data(), expected_indices.data(), 1),
          Status::kOk);
      ASSERT_EQ(topk(queries.view(), built.tables, k, nullptr, 20000, distances.data(), indices.data(), done.data(), 2),
                Status::kOk);
      for (int64_t q = 0; q < 20; ++q) {
        ASSERT_LE(done[q], 1);
        for (int64_t i = q * k; done[q] != 0 && i < (q + 1) * k; ++i) {
          ASSERT_EQ(distances[i], expected_distances[i]) << bits;
          ASSERT_EQ(indices[i], expected_indices[i]) << bits;
        }
      }
    }
  }
}

HASHKERNELS_FOR_EACH_ISA(HashTablesSearch);

}  // namespace
}  // namespace hashkernels
