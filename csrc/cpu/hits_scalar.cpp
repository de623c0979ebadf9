#include "hits_impl.hpp"

namespace hashkernels {
namespace {

struct Scalar {
  static unsigned nonzero(const uint64_t* hits, const uint64_t* valid, uint64_t* both) {
    unsigned words = 0;
    for (int i = 0; i < kHitWords; ++i) {
      both[i] = hits[i] & valid[i];
      words |= static_cast<unsigned>(both[i] != 0) << i;
    }
    return words;
  }

  // The compiler's own popcount would be a call here.
  static int popcount(uint64_t x) {
    x -= (x >> 1) & 0x5555555555555555u;
    x = (x & 0x3333333333333333u) + ((x >> 2) & 0x3333333333333333u);
    return static_cast<int>((((x + (x >> 4)) & 0x0F0F0F0F0F0F0F0Fu) * 0x0101010101010101u) >> 56);
  }
};

}  // namespace

bool below_scalar(const uint16_t* distances, int threshold, uint64_t* hits) {
  uint64_t any = 0;
  for (int word = 0; word < kHitWords; ++word) {
    uint64_t mask = 0;
    for (int i = 0; i < 64; ++i) mask |= static_cast<uint64_t>(distances[64 * word + i] < threshold) << i;
    hits[word] = mask;
    any |= mask;
  }
  return any != 0;
}

int list_hits_scalar(const HitQueue& queue, int first, int last, Hit* out, int* num_hits) {
  return list_hits<Scalar>(queue, first, last, out, num_hits);
}

}  // namespace hashkernels
