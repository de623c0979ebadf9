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
  RandomLabels(int64_t num_items, int words, unsigned seed)
      : words_per_item(words), values(num_items * std::max(words, 1)) {
    std::mt19937_64 random(seed);
    for (auto& value : values) value = words == 0 ? random() % 3 : (random() & random() & random() & random());
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

TEST_P(Counting, CountsEqualADoubleLoop) {
  for (const Case& c : kCases) {
    const testing::RandomCodes queries(c.num_queries, c.bits, 1, 3), database(c.num_database, c.bits, 2, 1);
    const RandomLabels query_labels(c.num_queries, c.label_words, 3), database_labels(c.num_database, c.label_words, 4);
    const int64_t num_bins = 8 * ((c.bits + 7) / 8) + 1;
    std::vector<int64_t> expected_total(c.num_queries * num_bins), expected_relevant(c.num_queries * num_bins);
    for (int64_t q = 0; q < c.num_queries; ++q) {
      for (int64_t n = 0; n < c.num_database; ++n) {
        const int64_t at = q * num_bins + testing::distance(queries.view(), q, database.view(), n);
        ++expected_total[at];
        expected_relevant[at] += is_relevant(query_labels, q, database_labels, n);
      }
    }
    for (int threads : {1, 4}) {
      std::vector<int64_t> total(expected_total.size(), -1), relevant(expected_total.size(), -1);
      ASSERT_EQ(retrieval_counts(queries.view(), database.view(), query_labels.view(), database_labels.view(),
                                 total.data(), relevant.data(), threads),
                Status::kOk);
      ASSERT_EQ(total, expected_total);
      ASSERT_EQ(relevant, expected_relevant);
    }
  }
}

TEST_P(Counting, IndexOrderEqualsAStableSort) {
  for (const Case& c : kCases) {
    const testing::RandomCodes queries(c.num_queries, c.bits, 5), database(c.num_database, c.bits, 6);
    const RandomLabels query_labels(c.num_queries, c.label_words, 7), database_labels(c.num_database, c.label_words, 8);
    std::vector<int64_t> cutoffs{1, std::max<int64_t>(1, c.num_database / 3), c.num_database};
    cutoffs.erase(std::unique(cutoffs.begin(), cutoffs.end()), cutoffs.end());
    const int num_cutoffs = static_cast<int>(cutoffs.size());
    for (int threads : {1, 4}) {
      std::vector<int64_t> hits(c.num_queries * num_cutoffs, -1);
      std::vector<double> sums(c.num_queries * num_cutoffs, -1);
      ASSERT_EQ(index_order_precision(queries.view(), database.view(), query_labels.view(), database_labels.view(),
                                      cutoffs.data(), num_cutoffs, hits.data(), sums.data(), threads),
                Status::kOk);
      for (int64_t q = 0; q < c.num_queries; ++q) {
        std::vector<int64_t> order(c.num_database);
        std::iota(order.begin(), order.end(), 0);
        std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
          return testing::distance(queries.view(), q, database.view(), a) <
                 testing::distance(queries.view(), q, database.view(), b);
        });
        for (int k = 0; k < num_cutoffs; ++k) {
          int64_t found = 0;
          uint64_t sum = 0;
          for (int64_t rank = 1; rank <= cutoffs[k]; ++rank) {
            if (!is_relevant(query_labels, q, database_labels, order[rank - 1])) continue;
            const double precision = static_cast<double>(++found) / static_cast<double>(rank);
            sum += static_cast<uint64_t>(std::nearbyint(precision * 1099511627776.0));
          }
          ASSERT_EQ(hits[q * num_cutoffs + k], found);
          ASSERT_EQ(sums[q * num_cutoffs + k], static_cast<double>(sum) / 1099511627776.0);
        }
      }
    }
  }
}

HASHKERNELS_FOR_EACH_ISA(Counting);

}  // namespace
}  // namespace hashkernels
