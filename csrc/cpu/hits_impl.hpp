// The part of hits_kernels.hpp that only wants a fast popcount; everything here has internal linkage (see kernels.hpp).
#pragma once

#include <cstdint>

#include "blocks.hpp"
#include "hits_kernels.hpp"

namespace hashkernels {
namespace {

template <class Isa, bool kOneWord>
int list_hits_of(const uint64_t* words, const uint32_t* places, int first, int last, const uint64_t* record_words,
                 const uint64_t* block, int num_words, Hit* out, int* num_hits) {
  int count = 0, next = first;
  for (; next < last && count + 64 <= kHitBatch; ++next) {
    const uint32_t record = places[next] / kHitWords;
    const int base = 64 * static_cast<int>(places[next] % kHitWords);
    const uint64_t* query = record_words + static_cast<int64_t>(record) * (kOneWord ? 1 : num_words);
    uint64_t rest = words[next];
    do {
      const int position = base + __builtin_ctzll(rest);
      int distance = Isa::popcount(query[0] ^ block[position]);
      if (!kOneWord) {
        for (int w = 1; w < num_words; ++w) distance += Isa::popcount(query[w] ^ block[w * kBlockCodes + position]);
      }
      out[count++] = {record, static_cast<uint16_t>(position), static_cast<uint16_t>(distance)};
      rest &= rest - 1;
    } while (rest != 0);
  }
  *num_hits = count;
  return next;
}

template <class Isa>
int list_hits(const uint64_t* words, const uint32_t* places, int first, int last, const uint64_t* record_words,
              const uint64_t* block, int num_words, Hit* out, int* num_hits) {
  return num_words == 1
             ? list_hits_of<Isa, true>(words, places, first, last, record_words, block, num_words, out, num_hits)
             : list_hits_of<Isa, false>(words, places, first, last, record_words, block, num_words, out, num_hits);
}

template <class Isa>
void measure_candidates(const Candidate* candidates, int count, const uint64_t* queries, const uint64_t* rows,
                        int num_words, uint16_t* distances) {
  for (int i = 0; i < count; ++i) {
    const uint64_t* query = queries + int64_t{candidates[i].query} * num_words;
    const uint64_t* row = rows + int64_t{candidates[i].row} * num_words;
    int distance = 0;
    for (int w = 0; w < num_words; ++w) distance += Isa::popcount(query[w] ^ row[w]);
    distances[i] = static_cast<uint16_t>(distance);
  }
}

template <class Isa>
void count_hits(const HitQueue& queue, int* counts) {
  for (int entry = 0; entry < queue.num_entries; ++entry) {
    int count = 0;
    for (int word = 0; word < kHitWords; ++word) {
      count += Isa::popcount(queue.hits[int64_t{entry} * kHitWords + word] & queue.valid[word]);
    }
    counts[queue.who[entry]] = count;
  }
}

}  // namespace
}  // namespace hashkernels
