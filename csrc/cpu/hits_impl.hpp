// list_hits over an instruction set's own way to find the words with hits and to count bits; everything here has
// internal linkage (see kernels.hpp).
#pragma once

#include <cstdint>

#include "blocks.hpp"
#include "hits_kernels.hpp"

namespace hashkernels {
namespace {

// Isa::nonzero(hits, valid, both): both = hits & valid; returns a mask of its words that are not zero.
// Isa::popcount(word).
template <class Isa, bool kOneWord>
int list_hits_of(const HitQueue& queue, int first, int last, Hit* out, int* num_hits) {
  int count = 0, entry = first;
  for (; entry < last && count + kBlockCodes <= kHitBatch; ++entry) {
    const uint32_t record = queue.who[entry];
    const uint64_t* query = queue.record_words + static_cast<int64_t>(record) * (kOneWord ? 1 : queue.num_words);
    alignas(64) uint64_t both[kHitWords];
    for (unsigned words = Isa::nonzero(queue.hits + int64_t{entry} * kHitWords, queue.valid, both); words != 0;
         words &= words - 1) {
      const int word = __builtin_ctz(words);
      uint64_t rest = both[word];
      do {
        const int position = 64 * word + __builtin_ctzll(rest);
        int distance = Isa::popcount(query[0] ^ queue.block[position]);
        if (!kOneWord) {
          for (int w = 1; w < queue.num_words; ++w) {
            distance += Isa::popcount(query[w] ^ queue.block[w * kBlockCodes + position]);
          }
        }
        out[count++] = {record, static_cast<uint16_t>(position), static_cast<uint16_t>(distance)};
        rest &= rest - 1;
      } while (rest != 0);
    }
  }
  *num_hits = count;
  return entry;
}

template <class Isa>
int list_hits(const HitQueue& queue, int first, int last, Hit* out, int* num_hits) {
  return queue.num_words == 1 ? list_hits_of<Isa, true>(queue, first, last, out, num_hits)
                              : list_hits_of<Isa, false>(queue, first, last, out, num_hits);
}

}  // namespace
}  // namespace hashkernels
