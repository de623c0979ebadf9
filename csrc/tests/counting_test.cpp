#include "hashkernels/counting.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "testing.hpp"

namespace hashkernels {
namespace {

class Counting : public testing::ForEachIsa {};

// Labels of either form. Multi-hot words are sparse, so that some pairs share a class and some do not.
struct RandomLabels {
  RandomLabels(int64_t num_items, int words, unsigned seed, int num_ids = 3)
      : words_per_item(words), values(num_items * std::max(words, 1)) {
    std::mt19937_64 random(seed);
    for (auto& value : values) value = words == 0 ? random() % num_ids : (random() & random() & random() & random());
  }
  Labels view() const { return {values.data(), words_per_item}; }

  int words_per_item;
  std::vector<uint64_t> values;
};

bool is_relevant(const RandomLabels& a, int64_t i, const RandomLabels& b, int64_t j) {
  if (a.words_per_item == 0) return a.values[i] == b.values[j];
  for (int w = 0; w < a.words_per_item; ++w) {
    if ((a.values[i * a.words_per_item + w] & b.values[j * b.words_per_item + w]) != 0) return true;
  }
  return false;
}

struct Case {
  int bits;
  int64_t num_queries, num_database;
  int label_words;
};

const Case kCases[] = {{1, 1, 1, 0},      {7, 3, 700, 0},    {64, 40, 1100, 0}, {65, 2, 513, 2},
                       {129, 33, 600, 1}, {1023, 2, 900, 0}, {4096, 1, 514, 3}};

void expect_counts(const Codes& queries, const Codes& database, const RandomLabels& query_labels,
                   const RandomLabels& database_labels, std::vector<int> thread_counts = {1, 4}) {
  const int64_t num_bins = 8 * queries.num_bytes + 1;
  std::vector<int64_t> expected_total(queries.num_codes * num_bins), expected_relevant(queries.num_codes * num_bins);
  for (int64_t q = 0; q < queries.num_codes; ++q) {
    for (int64_t n = 0; n < database.num_codes; ++n) {
      const int64_t at = q * num_bins + testing::distance(queries, q, database, n);
      ++expected_total[at];
      expected_relevant[at] += is_relevant(query_labels, q, database_labels, n);
    }
  }
  for (int threads : thread_counts) {
    std::vector<int64_t> total(expected_total.size(), -1), relevant(expected_total.size(), -1);
    ASSERT_EQ(retrieval_counts(queries, database, query_labels.view(), database_labels.view(), total.data(),
                               relevant.data(), threads),
              Status::kOk);
    ASSERT_EQ(total, expected_total);
    ASSERT_EQ(relevant, expected_relevant);
  }
}

TEST_P(Counting, CountsEqualADoubleLoop) {
  for (const Case& c : kCases) {
    const testing::RandomCodes queries(c.num_queries, c.bits, 1, 3), database(c.num_database, c.bits, 2, 1);
    const RandomLabels query_labels(c.num_queries, c.label_words, 3), database_labels(c.num_database, c.label_words, 4);
    expect_counts(queries.view(), database.view(), query_labels, database_labels);
  }
}

TEST_P(Counting, EveryWidthThatIsSlicedEqualsADoubleLoop) {
  for (int bits = 8; bits <= 272; bits += 8) {
    const testing::RandomCodes queries(9, bits, 1), database(517, bits, 2);
    expect_counts(queries.view(), database.view(), RandomLabels(9, bits / 8 % 3, 3), RandomLabels(517, bits / 8 % 3, 4),
                  {1});
  }
}

TEST_P(Counting, NoQueriesOrNoDatabase) {
  const testing::RandomCodes some(5, 24, 1);
  const Codes none{nullptr, 0, 3, 3};
  const RandomLabels labels(5, 0, 2), no_labels(0, 0, 2);
  expect_counts(none, some.view(), no_labels, labels);
  expect_counts(some.view(), none, labels, no_labels);
}

TEST_P(Counting, ManyClassesAcrossBlocks) {
  const testing::RandomCodes queries(70, 48, 1), database(2100, 48, 2);
  RandomLabels query_labels(70, 0, 3, 1000), database_labels(2100, 0, 4, 1000);
  // Ids are any 64 bits, also those that differ high up only, and zero.
  const uint64_t ids[] = {~uint64_t{0}, uint64_t{1} << 63, uint64_t{5} << 40, uint64_t{6} << 40, 0};
  for (int i = 0; i < 5; ++i) query_labels.values[i] = database_labels.values[500 + 7 * i] = ids[i];
  expect_counts(queries.view(), database.view(), query_labels, database_labels);
  for (auto& value : database_labels.values) value = 123456;
  expect_counts(queries.view(), database.view(), query_labels, database_labels);
}

// Enough pairs for classes to be counted apart: some with one query or one code, some that only one side has.
TEST_P(Counting, ManyPairsOfFewClassmates) {
  for (int bits : {12, 64, 256}) {
    const testing::RandomCodes queries(400, bits, 1, 3), database(6000, bits, 2, 1);
    RandomLabels query_labels(400, 0, 3, 35), database_labels(6000, 0, 4, 40);
    query_labels.values[7] = database_labels.values[5999] = ~uint64_t{0};
    query_labels.values[8] = 1000;
    expect_counts(queries.view(), database.view(), query_labels, database_labels, {1, 3});
  }
}

TEST_P(Counting, MultiHotLabelsOfSeveralWords) {
  const testing::RandomCodes queries(35, 64, 1), database(1537, 64, 2);
  RandomLabels query_labels(35, 3, 3), database_labels(1537, 3, 4);
  for (int word = 0; word < 3; ++word) {
    query_labels.values[word] = 0;                 // of no class
    query_labels.values[3 + word] = ~uint64_t{0};  // of every class
    database_labels.values[1536 * 3 + word] = uint64_t{1} << 63;
  }
  for (int i = 600; i < 900; ++i) database_labels.values[i] = 0;
  expect_counts(queries.view(), database.view(), query_labels, database_labels);
}

// More groups of queries than one, of which the last is not whole, and more blocks than one 16-bit counter holds.
TEST_P(Counting, ManyQueriesAndManyBlocks) {
  const testing::RandomCodes queries(600, 16, 1), database(700, 16, 2);
  expect_counts(queries.view(), database.view(), RandomLabels(600, 0, 3), RandomLabels(700, 0, 4), {1, 3});

  const int64_t num_database = 1100 * 512 + 3;
  const testing::RandomCodes few(8, 8, 1);
  const std::vector<uint8_t> same(num_database, 0x5A);
  const RandomLabels labels(num_database, 0, 5, 1);
  expect_counts(few.view(), {same.data(), num_database, 1, 1}, RandomLabels(8, 0, 6, 1), labels, {1});
}

TEST_P(Counting, SkewedDistances) {
  for (int bits : {16, 64, 256}) {
    testing::RandomCodes queries(20, bits, 1), database(1030, bits, 2);
    const int num_bytes = bits / 8;
    const RandomLabels query_labels(20, 0, 3), database_labels(1030, 0, 4);
    // All codes equal: one distance a query, 0 and the whole width among them.
    for (int64_t i = 0; i < 1030; ++i) std::fill_n(database.row(i), num_bytes, uint8_t{0xC3});
    std::fill_n(queries.row(0), num_bytes, uint8_t{0xC3});
    std::fill_n(queries.row(1), num_bytes, uint8_t{0x3C});
    expect_counts(queries.view(), database.view(), query_labels, database_labels);
    // Different codes, all at the same distance of query 0.
    for (int64_t i = 0; i < 1030; ++i) database.row(i)[i % num_bytes] ^= static_cast<uint8_t>(1 << (i / num_bytes % 8));
    expect_counts(queries.view(), database.view(), query_labels, database_labels);
  }
}

void expect_index_order(const Codes& queries, const Codes& database, const RandomLabels& query_labels,
                        const RandomLabels& database_labels, const std::vector<int64_t>& cutoffs,
                        std::vector<int> thread_counts = {1, 4}) {
  const int num_cutoffs = static_cast<int>(cutoffs.size());
  const auto relevant = [&](int64_t q, int64_t n) { return is_relevant(query_labels, q, database_labels, n); };
  for (int threads : thread_counts) {
    const int64_t size = queries.num_codes * num_cutoffs;
    std::vector<int64_t> sums(3 * size, -1);
    ASSERT_EQ(index_order_sums(queries, database, query_labels.view(), database_labels.view(), {}, cutoffs.data(),
                               num_cutoffs, sums.data(), threads),
              Status::kOk);
    for (int64_t q = 0; q < queries.num_codes; ++q) {
      std::vector<int> distances(database.num_codes);
      for (int64_t n = 0; n < database.num_codes; ++n) distances[n] = testing::distance(queries, q, database, n);
      std::vector<int64_t> order(database.num_codes);
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return distances[a] < distances[b]; });
      for (int k = 0; k < num_cutoffs; ++k) {
        int64_t found = 0;
        uint64_t sum = 0;
        for (int64_t rank = 1; rank <= std::min(cutoffs[k], database.num_codes); ++rank) {
          if (!relevant(q, order[rank - 1])) continue;
          const double precision = static_cast<double>(++found) / static_cast<double>(rank);
          sum += static_cast<uint64_t>(std::nearbyint(precision * 1099511627776.0));
        }
        const int64_t at = q * num_cutoffs + k;
        ASSERT_EQ(sums[at], found);
        ASSERT_EQ(sums[size + at], static_cast<int64_t>(sum >> 20));
        ASSERT_EQ(sums[2 * size + at], static_cast<int64_t>(sum & 0xFFFFF));
      }
    }
  }
}

TEST_P(Counting, IndexOrderEqualsAStableSort) {
  for (const Case& c : kCases) {
    const testing::RandomCodes queries(c.num_queries, c.bits, 5), database(c.num_database, c.bits, 6);
    const RandomLabels query_labels(c.num_queries, c.label_words, 7), database_labels(c.num_database, c.label_words, 8);
    std::vector<int64_t> cutoffs{1, std::max<int64_t>(1, c.num_database / 3), c.num_database};
    cutoffs.resize(std::unique(cutoffs.begin(), cutoffs.end()) - cutoffs.begin());
    expect_index_order(queries.view(), database.view(), query_labels, database_labels, cutoffs);
  }
}

// Codes before each distance, of all that is ranked; then also those of an earlier part at the distance itself.
struct Starts {
  Starts(int64_t rows, int64_t bins) : bins_(bins), ranks(rows * bins), hits(rows * bins) {}

  // From counts, in place.
  void sum_up() {
    for (std::vector<int64_t>* counts : {&ranks, &hits}) {
      for (size_t row = 0; row < counts->size(); row += bins_) {
        std::exclusive_scan(counts->begin() + row, counts->begin() + row + bins_, counts->begin() + row, int64_t{0});
      }
    }
  }
  RankStarts view() const { return {ranks.data(), hits.data()}; }

  int64_t bins_;
  std::vector<int64_t> ranks, hits;
};

// The sums of two parts add up to those of the whole, whose counts say where the parts begin.
TEST_P(Counting, IndexOrderOfParts) {
  for (int64_t num_queries : {2, 90}) {
    for (int bits : {12, 64, 300}) {
      const int64_t num_bytes = (bits + 7) / 8, bins = 8 * num_bytes + 1, num_database = 1300, split = 555;
      const testing::RandomCodes queries(num_queries, bits, 5), database(num_database, bits, 6);
      const RandomLabels query_labels(num_queries, 0, 7), database_labels(num_database, 0, 8);
      const Codes all = database.view();
      const Codes parts[] = {{all.data, split, all.stride, all.num_bytes},
                             {all.row(split), num_database - split, all.stride, all.num_bytes}};
      const auto labels_from = [&](int64_t first) {
        return Labels{static_cast<const int64_t*>(database_labels.view().data) + first, 0};
      };
      const auto count = [&](const Codes& codes, int64_t first) {
        Starts counts(num_queries, bins);
        EXPECT_EQ(retrieval_counts(queries.view(), codes, query_labels.view(), labels_from(first), counts.ranks.data(),
                                   counts.hits.data(), 1),
                  Status::kOk);
        return counts;
      };
      const std::vector<int64_t> cutoffs{1, 100, 1000, 1300};
      const auto sums_of = [&](const Codes& codes, int64_t first, const RankStarts& starts, int threads) {
        std::vector<int64_t> sums(3 * num_queries * cutoffs.size());
        EXPECT_EQ(index_order_sums(queries.view(), codes, query_labels.view(), labels_from(first), starts,
                                   cutoffs.data(), static_cast<int>(cutoffs.size()), sums.data(), threads),
                  Status::kOk);
        return sums;
      };
      Starts starts = count(all, 0);
      starts.sum_up();
      const std::vector<int64_t> expected = sums_of(all, 0, {}, 1);
      ASSERT_EQ(sums_of(all, 0, starts.view(), 3), expected);
      std::vector<int64_t> sums = sums_of(parts[0], 0, starts.view(), 1);
      const Starts first = count(parts[0], 0);
      for (size_t i = 0; i < first.ranks.size(); ++i) {
        starts.ranks[i] += first.ranks[i];
        starts.hits[i] += first.hits[i];
      }
      const std::vector<int64_t> others = sums_of(parts[1], split, starts.view(), 1);
      const size_t size = num_queries * cutoffs.size();
      for (size_t i = 0; i < size; ++i) {
        const int64_t low = sums[2 * size + i] + others[2 * size + i];
        ASSERT_EQ(sums[i] + others[i], expected[i]);
        ASSERT_EQ(sums[size + i] + others[size + i] + (low >> 20), expected[size + i]);
        ASSERT_EQ(low & 0xFFFFF, expected[2 * size + i]);
      }
    }
  }
}

TEST_P(Counting, IndexOrderOfEveryWidthThatIsSliced) {
  for (int bits = 8; bits <= 272; bits += 8) {
    const testing::RandomCodes queries(6, bits, 5), database(1029, bits, 6);
    expect_index_order(queries.view(), database.view(), RandomLabels(6, bits / 8 % 3, 7),
                       RandomLabels(1029, bits / 8 % 3, 8), {1029}, {1});
  }
}

// Within a block and across blocks nothing but the index tells codes apart.
TEST_P(Counting, IndexOrderOfTies) {
  for (int bits : {16, 64, 72, 256}) {
    testing::RandomCodes queries(7, bits, 5), database(1700, bits, 6);
    const int num_bytes = bits / 8;
    for (int64_t i = 0; i < 1700; ++i) std::fill_n(database.row(i), num_bytes, uint8_t{0xC3});
    std::fill_n(queries.row(0), num_bytes, uint8_t{0xC3});
    std::fill_n(queries.row(1), num_bytes, uint8_t{0x3C});
    const RandomLabels query_labels(7, 0, 7), database_labels(1700, 0, 8);
    const std::vector<int64_t> cutoffs{1, 63, 64, 65, 511, 512, 513, 1699, 1700, 5000};
    expect_index_order(queries.view(), database.view(), query_labels, database_labels, cutoffs);
    for (int64_t i = 0; i < 1700; i += 3) database.row(i)[i % num_bytes] ^= static_cast<uint8_t>(1 << (i % 8));
    expect_index_order(queries.view(), database.view(), query_labels, database_labels, cutoffs);
  }
}

TEST_P(Counting, IndexOrderOfManyClassesAndOfOne) {
  const testing::RandomCodes queries(70, 48, 5), database(2100, 48, 6);
  for (int num_ids : {1, 1000}) {
    RandomLabels query_labels(70, 0, 7, num_ids), database_labels(2100, 0, 8, num_ids);
    query_labels.values[0] = ~uint64_t{0};  // of a class of its own
    expect_index_order(queries.view(), database.view(), query_labels, database_labels, {100, 2100}, {1, 3});
  }
}

// Runs of codes with an even and with an odd number of bits set, of lengths that no block knows.
TEST_P(Counting, RunsOfOneParity) {
  for (int bits : {8, 40, 64, 128}) {
    const testing::RandomCodes queries(9, bits, 5);
    testing::RandomCodes database(2600, bits, 6);
    for (int64_t i = 0; i < 2600; ++i) {
      int set = 0;
      for (int byte = 0; byte < bits / 8; ++byte) set += __builtin_popcount(database.row(i)[byte]);
      const bool odd = i < 1100 || i % 701 < 3;
      database.row(i)[0] ^= static_cast<uint8_t>(set % 2 != static_cast<int>(odd));
    }
    const RandomLabels query_labels(9, bits / 64, 7), database_labels(2600, bits / 64, 8);
    expect_counts(queries.view(), database.view(), query_labels, database_labels, {1, 3});
    expect_index_order(queries.view(), database.view(), query_labels, database_labels, {7, 2600}, {1, 3});
  }
}

HASHKERNELS_FOR_EACH_ISA(Counting);

}  // namespace
}  // namespace hashkernels
