#include "hits_kernels.hpp"

namespace hashkernels {

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

}  // namespace hashkernels
