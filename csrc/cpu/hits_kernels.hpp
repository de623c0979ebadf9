// Hits: the codes of one block that lie below a threshold, as one bit a code (bit i % 64 of word i / 64 is code i).
#pragma once

#include <cstdint>

namespace hashkernels {

inline constexpr int kHitWords = 8;  // kBlockCodes / 64

// hits = the codes i with distances[i] < threshold; returns whether there is one.
using Below = bool (*)(const uint16_t* distances, int threshold, uint64_t* hits);
bool below_scalar(const uint16_t* distances, int threshold, uint64_t* hits);
bool below_avx2(const uint16_t* distances, int threshold, uint64_t* hits);
bool below_avx512(const uint16_t* distances, int threshold, uint64_t* hits);

// The hits of many records (queries) in one block, an entry for each record that has any.
struct HitQueue {
  const uint64_t* hits;  // kHitWords an entry
  const uint32_t* who;   // the record of an entry
  int num_entries;
  const uint64_t* valid;  // kHitWords: codes that may be found at all
};

// Collects the words of hits & valid that are not zero, entry after entry: places[i] = record * kHitWords + word.
// Returns how many; both outputs hold kHitWords * (num_entries + 1).
using GatherHits = int (*)(const HitQueue& queue, uint64_t* words, uint32_t* places);
int gather_hits_scalar(const HitQueue& queue, uint64_t* words, uint32_t* places);
int gather_hits_avx512(const HitQueue& queue, uint64_t* words, uint32_t* places);

struct Hit {
  uint32_t record;
  uint16_t position, distance;
};

inline constexpr int kHitBatch = 4096;

// Lists the hits of gathered words first, first + 1, ... < last with their distances, for as long as a whole word fits
// into kHitBatch hits. Sets *num_hits and returns the next word. record_words holds num_words a record.
using ListHits = int (*)(const uint64_t* words, const uint32_t* places, int first, int last,
                         const uint64_t* record_words, const uint64_t* block, int num_words, Hit* out, int* num_hits);
int list_hits_scalar(const uint64_t* words, const uint32_t* places, int first, int last, const uint64_t* record_words,
                     const uint64_t* block, int num_words, Hit* out, int* num_hits);
int list_hits_avx2(const uint64_t* words, const uint32_t* places, int first, int last, const uint64_t* record_words,
                   const uint64_t* block, int num_words, Hit* out, int* num_hits);

// distances[i] = bits in which the query and row i differ, for `count` rows of num_bytes bytes where they lie, `stride`
// bytes apart. The query's words hold zeros past its bytes.
using MeasureRows = void (*)(const uint64_t* query, const uint8_t* rows, int64_t stride, int num_bytes, int count,
                             uint16_t* distances);
void measure_rows_scalar(const uint64_t* query, const uint8_t* rows, int64_t stride, int num_bytes, int count,
                         uint16_t* distances);
void measure_rows_avx2(const uint64_t* query, const uint8_t* rows, int64_t stride, int num_bytes, int count,
                       uint16_t* distances);
void measure_rows_avx512_vpopcnt(const uint64_t* query, const uint8_t* rows, int64_t stride, int num_bytes, int count,
                                 uint16_t* distances);
void measure_rows_neon(const uint64_t* query, const uint8_t* rows, int64_t stride, int num_bytes, int count,
                       uint16_t* distances);

// The k-th least distance of the valid codes of a block, of which there are k at least; sums are num_bounds planes of
// their distances, lowest bit first.
using NthDistance = int (*)(const uint64_t* sums, int num_bounds, const uint64_t* valid, int64_t k);
int nth_distance_scalar(const uint64_t* sums, int num_bounds, const uint64_t* valid, int64_t k);
int nth_distance_avx2(const uint64_t* sums, int num_bounds, const uint64_t* valid, int64_t k);

// counts[record of an entry] = its number of hits.
using CountHits = void (*)(const HitQueue& queue, int* counts);
void count_hits_scalar(const HitQueue& queue, int* counts);
void count_hits_avx2(const HitQueue& queue, int* counts);

}  // namespace hashkernels
