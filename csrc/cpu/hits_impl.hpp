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

// Appends a piece of a row to a value, `shift` bits up.
template <class Piece>
inline void append(const uint8_t*& row, int& shift, uint64_t& value) {
  Piece piece;
  __builtin_memcpy(&piece, row, sizeof(piece));
  value |= uint64_t{piece} << shift;
  row += sizeof(piece);
  shift += 8 * static_cast<int>(sizeof(piece));
}

// Rows of kWords whole words, any number where that is negative, and kTail bytes.
template <class Isa, int kWords, int kTail>
void measure_rows_of(const uint64_t* query, const uint8_t* rows, int64_t stride, int num_bytes, int count,
                     uint16_t* distances) {
  const int num_words = kWords < 0 ? num_bytes / 8 : kWords;
#pragma GCC unroll 4
  for (int i = 0; i < count; ++i) {
    const uint8_t* row = rows + i * stride;
    int distance = 0;
#pragma GCC unroll 4
    for (int w = 0; w < num_words; ++w, row += 8) {
      uint64_t word;
      __builtin_memcpy(&word, row, sizeof(word));
      distance += Isa::popcount(query[w] ^ word);
    }
    if constexpr (kTail > 0) {
      uint64_t word = 0;
      int shift = 0;
      if constexpr ((kTail & 4) != 0) append<uint32_t>(row, shift, word);
      if constexpr ((kTail & 2) != 0) append<uint16_t>(row, shift, word);
      if constexpr ((kTail & 1) != 0) append<uint8_t>(row, shift, word);
      distance += Isa::popcount(query[num_words] ^ word);
    }
    distances[i] = static_cast<uint16_t>(distance);
  }
}

template <class Isa, int kWords>
MeasureRows measure_rows_by_tail(int tail) {
  static constexpr MeasureRows kByTail[] = {measure_rows_of<Isa, kWords, 0>, measure_rows_of<Isa, kWords, 1>,
                                            measure_rows_of<Isa, kWords, 2>, measure_rows_of<Isa, kWords, 3>,
                                            measure_rows_of<Isa, kWords, 4>, measure_rows_of<Isa, kWords, 5>,
                                            measure_rows_of<Isa, kWords, 6>, measure_rows_of<Isa, kWords, 7>};
  return kByTail[tail];
}

template <class Isa>
void measure_rows(const uint64_t* query, const uint8_t* rows, int64_t stride, int num_bytes, int count,
                  uint16_t* distances) {
  const int words = num_bytes / 8, tail = num_bytes % 8;
  const MeasureRows run = words == 0   ? measure_rows_by_tail<Isa, 0>(tail)
                          : words == 1 ? measure_rows_by_tail<Isa, 1>(tail)
                          : words == 2 ? measure_rows_by_tail<Isa, 2>(tail)
                          : words == 3 ? measure_rows_by_tail<Isa, 3>(tail)
                          : words == 4 ? measure_rows_by_tail<Isa, 4>(tail)
                                       : measure_rows_by_tail<Isa, -1>(tail);
  run(query, rows, stride, num_bytes, count, distances);
}

template <class Isa>
int nth_distance(const uint64_t* sums, int num_bounds, const uint64_t* valid, int64_t k) {
  uint64_t left[kHitWords];
  for (int word = 0; word < kHitWords; ++word) left[word] = valid[word];
  int distance = 0;
  for (int bit = num_bounds - 1; bit >= 0; --bit) {
    const uint64_t* plane = sums + bit * kHitWords;
    int64_t clear = 0;
    for (int word = 0; word < kHitWords; ++word) clear += Isa::popcount(left[word] & ~plane[word]);
    const bool set = clear < k;
    const uint64_t flip = set ? 0 : ~uint64_t{0};
    for (int word = 0; word < kHitWords; ++word) left[word] &= plane[word] ^ flip;
    k -= set ? clear : 0;
    distance |= set << bit;
  }
  return distance;
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
