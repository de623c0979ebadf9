#include "buckets_impl.hpp"
#include "popcount_scalar.hpp"

namespace hashkernels {
namespace {

struct Scalar {
  static int popcount(uint64_t x) { return count_bits(x); }

  static unsigned near_slots(const uint32_t* slots, int row_bits, uint32_t tag, int rest) {
    unsigned near = 0;
    for (int i = 0; i < kBucketStep; ++i) near |= unsigned{popcount((slots[i] >> row_bits) ^ tag) <= rest} << i;
    return near;
  }

  static unsigned near_rows(const uint64_t* rows, uint64_t query, int reach) {
    unsigned near = 0;
    for (int i = 0; i < kBucketStep; ++i) near |= unsigned{popcount(rows[i] ^ query) <= reach} << i;
    return near;
  }

  static void write_slots(const uint32_t* slots, uint32_t mask, unsigned near, uint32_t* out) {
    for (; near != 0; near &= near - 1) *out++ = slots[__builtin_ctz(near)] & mask;
  }

  static void write_rows(uint32_t first, unsigned near, uint32_t* out) {
    for (; near != 0; near &= near - 1) *out++ = first + static_cast<uint32_t>(__builtin_ctz(near));
  }
};

}  // namespace

int list_candidates_scalar(const BucketEntries& entries, Probe* probes, int num_probes, Candidates out, int room,
                           int* num_candidates) {
  return list_candidates<Scalar>(entries, probes, num_probes, out, room, num_candidates);
}

void measure_candidates_scalar(Candidates candidates, int count, const uint64_t* queries, const uint64_t* rows,
                               int num_words, uint16_t* distances) {
  measure_candidates<Scalar>(candidates, count, queries, rows, num_words, distances);
}

}  // namespace hashkernels
