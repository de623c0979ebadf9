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

// The hits of many records (queries) in one block.
struct HitQueue {
  const uint64_t* hits;  // kHitWords an entry
  const uint32_t* who;   // the record of an entry
  const uint64_t* valid;  // kHitWords: codes that may be found at all
  const uint64_t* record_words;  // num_words a record
  const uint64_t* block;
  int num_words;
};

struct Hit {
  uint32_t record;
  uint16_t position, distance;
};

inline constexpr int kHitBatch = 4096;

// Lists the hits of entries first, first + 1, ... < last with their distances, entry after entry and position after
// position, for as long as a whole entry fits into kHitBatch hits. Sets *num_hits and returns the next entry.
using ListHits = int (*)(const HitQueue& queue, int first, int last, Hit* out, int* num_hits);
int list_hits_scalar(const HitQueue& queue, int first, int last, Hit* out, int* num_hits);
int list_hits_avx2(const HitQueue& queue, int first, int last, Hit* out, int* num_hits);
int list_hits_avx512(const HitQueue& queue, int first, int last, Hit* out, int* num_hits);

}  // namespace hashkernels
