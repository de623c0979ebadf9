#include "hits_impl.hpp"
#include "popcount_scalar.hpp"

namespace hashkernels {
namespace {

struct Scalar {
  static int popcount(uint64_t x) { return count_bits(x); }
};

}  // namespace

// Eight comparisons at a time, each of which leaves the bit of its place.
bool below_scalar(const uint16_t* distances, int threshold, uint64_t* hits) {
  using Distances = uint16_t __attribute__((vector_size(16)));
  constexpr Distances kPlaces = {1, 2, 4, 8, 16, 32, 64, 128};
  const Distances bound = static_cast<uint16_t>(threshold) - Distances{};
  uint64_t any = 0;
  for (int word = 0; word < kHitWords; ++word) {
    uint64_t mask = 0;
    for (int byte = 0; byte < 8; ++byte) {
      Distances some;
      uint64_t halves[2];
      __builtin_memcpy(&some, distances + 64 * word + 8 * byte, sizeof(some));
      some = reinterpret_cast<Distances>(some < bound) & kPlaces;
      __builtin_memcpy(halves, &some, sizeof(some));
      uint64_t places = halves[0] | halves[1];
      places |= places >> 32;
      places |= places >> 16;
      mask |= (places & 255) << (8 * byte);
    }
    hits[word] = mask;
    any |= mask;
  }
  return any != 0;
}

// Without a branch on what is found: an empty word is overwritten by the next.
int gather_hits_scalar(const HitQueue& queue, uint64_t* words, uint32_t* places) {
  int count = 0;
  for (int entry = 0; entry < queue.num_entries; ++entry) {
    for (int word = 0; word < kHitWords; ++word) {
      words[count] = queue.hits[int64_t{entry} * kHitWords + word] & queue.valid[word];
      places[count] = queue.who[entry] * kHitWords + word;
      count += words[count] != 0;
    }
  }
  return count;
}

int list_hits_scalar(const uint64_t* words, const uint32_t* places, int first, int last, const uint64_t* record_words,
                     const uint64_t* block, int num_words, Hit* out, int* num_hits) {
  return list_hits<Scalar>(words, places, first, last, record_words, block, num_words, out, num_hits);
}

void measure_rows_scalar(const uint64_t* query, const uint8_t* rows, int64_t stride, int num_bytes, int count,
                         uint16_t* distances) {
  measure_rows<Scalar>(query, rows, stride, num_bytes, count, distances);
}

int nth_distance_scalar(const uint64_t* sums, int num_bounds, const uint64_t* valid, int64_t k) {
  return nth_distance<Scalar>(sums, num_bounds, valid, k);
}

void count_hits_scalar(const HitQueue& queue, int* counts) { count_hits<Scalar>(queue, counts); }

}  // namespace hashkernels
