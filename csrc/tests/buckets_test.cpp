#include <algorithm>
#include <utility>

#include "../cpu/kernels.hpp"
#include "testing.hpp"

namespace hashkernels {
namespace {

class Buckets : public testing::ForEachIsa {};

using Pairs = std::vector<std::pair<uint32_t, uint32_t>>;

// All candidates of the probes, listed into as little as `room` at a time.
Pairs list_all(const BucketEntries& entries, std::vector<Probe> probes, int room) {
  Pairs listed;
  std::vector<uint32_t> queries(room), rows(room);
  for (int done = 0, calls = 0; done < static_cast<int>(probes.size()); ++calls) {
    int count = -1;
    done += kernels().list_candidates(entries, probes.data() + done, static_cast<int>(probes.size()) - done,
                                      {queries.data(), rows.data()}, room, &count);
    if (calls > 10000 || count < 0 || count > room) return {};
    for (int i = 0; i < count; ++i) listed.emplace_back(queries[i], rows[i]);
  }
  return listed;
}

std::vector<Probe> random_probes(int count, uint32_t num_entries, int tag_size, std::mt19937_64& random) {
  std::vector<Probe> probes;
  for (int i = 0; i < count; ++i) {
    const auto begin = static_cast<uint32_t>(random() % (num_entries + 1));
    const auto size = static_cast<uint32_t>(random() % 3 == 0 ? random() % 40 : random() % 3);
    const auto query = static_cast<uint32_t>(random() % 5);
    probes.push_back({query, begin, std::min(begin + size, num_entries),
                      static_cast<uint16_t>(random() % (1 << tag_size)), static_cast<uint16_t>(random() % 3),
                      static_cast<uint16_t>(random() % 50 == 0 ? 4096 : random() % 14)});
  }
  probes.push_back({0, num_entries - 3, num_entries, 0, 0, 4096});
  return probes;
}

TEST_P(Buckets, ListsTheSlotsWhoseTagsAreNear) {
  std::mt19937_64 random(1);
  for (int tag_size : {1, 8, 12}) {
    std::vector<uint32_t> slots(301);
    for (uint32_t& slot : slots) slot = static_cast<uint32_t>(random());
    const BucketEntries entries{nullptr, nullptr, 1, slots.data(), 301, tag_size};
    const std::vector<Probe> probes = random_probes(400, 301, tag_size, random);
    Pairs expected;
    for (const Probe& probe : probes) {
      for (uint32_t at = probe.begin; at < probe.end; ++at) {
        if (__builtin_popcount(slots[at] >> (32 - tag_size) ^ probe.tag) <= probe.rest) {
          expected.emplace_back(probe.query, slots[at] & ((uint32_t{1} << (32 - tag_size)) - 1));
        }
      }
    }
    for (int room : {8, 21, 512}) ASSERT_EQ(list_all(entries, probes, room), expected) << tag_size << ' ' << room;
  }
}

TEST_P(Buckets, ListsTheRowsWhoseFirstWordsAreNear) {
  std::mt19937_64 random(2);
  for (int num_words : {1, 2, 5}) {
    // Codes near each other, so that some are in reach.
    std::vector<uint64_t> rows(211 * num_words), queries(5 * num_words);
    for (uint64_t& word : rows) word = random() & random() & random();
    for (uint64_t& word : queries) word = random() & random() & random();
    const BucketEntries entries{rows.data(), queries.data(), num_words, nullptr, 211, 12};
    const std::vector<Probe> probes = random_probes(400, 211, 12, random);
    Pairs expected;
    for (const Probe& probe : probes) {
      for (uint32_t row = probe.begin; row < probe.end; ++row) {
        const uint64_t differ = rows[row * num_words] ^ queries[probe.query * num_words];
        if (__builtin_popcountll(differ) <= probe.ring + probe.rest) expected.emplace_back(probe.query, row);
      }
    }
    ASSERT_GT(expected.size(), 100U);
    for (int room : {8, 21, 512}) ASSERT_EQ(list_all(entries, probes, room), expected) << num_words << ' ' << room;
  }
}

TEST_P(Buckets, MeasuresWholeCodes) {
  std::mt19937_64 random(3);
  for (int num_words : {1, 2, 3, 17}) {
    std::vector<uint64_t> rows(90 * num_words), queries(7 * num_words);
    for (uint64_t& word : rows) word = random();
    for (uint64_t& word : queries) word = random();
    std::vector<uint32_t> numbers(200);
    for (int i = 0; i < 100; ++i) {
      numbers[i] = static_cast<uint32_t>(random() % 7);
      numbers[100 + i] = static_cast<uint32_t>(random() % 90);
    }
    std::vector<uint16_t> distances(100);
    for (int count : {1, 23, 24, 25, 100}) {
      kernels().measure_candidates({numbers.data(), numbers.data() + 100}, count, queries.data(), rows.data(),
                                   num_words, distances.data());
      for (int i = 0; i < count; ++i) {
        int expected = 0;
        for (int w = 0; w < num_words; ++w) {
          expected +=
              __builtin_popcountll(queries[numbers[i] * num_words + w] ^ rows[numbers[100 + i] * num_words + w]);
        }
        ASSERT_EQ(distances[i], expected);
      }
    }
  }
}

HASHKERNELS_FOR_EACH_ISA(Buckets);

}  // namespace
}  // namespace hashkernels
