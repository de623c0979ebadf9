// Multi-index hashing: exact search through buckets, for small radii and for data in clusters.
//
// The bits of a code are put into another order and cut into chunks. A code within `radius` of a query is within r_c of
// it in some chunk c as soon as the sum of all r_c + 1 exceeds the radius (r_c = -1 leaves a chunk out), so it lies in
// a bucket whose key differs from the query's in at most r_c bits of that chunk (Norouzi, Punjani and Fleet, "Fast
// exact search in Hamming space with multi-index hashing", 2014). Which r_c are cheapest is found from the buckets that
// the queries themselves would read (Qin et al., "GPH: similarity search in Hamming space", 2018).
//
// The tables are plain arrays that the caller owns, N codes, 2^w keys in a chunk of w bits:
//   order    uint16 [8 * num_bytes]      bit i of a row is bit order[i] of a code (index.h); the chunks come first
//   offsets  uint32 [sum of 2^w_c + 1]   of chunk c: bucket b is offsets[b] .. offsets[b + 1]
//   rows     uint64 [N, num_words]       the codes in that order of bits, sorted by (key of chunk 0, position)
//   ids      uint32 [N]                  the position of each row
//   slots    uint32 [num_chunks - 1, N]  the rows of a bucket of chunk c > 0, each below a tag
// A row leaves some of a slot's 32 bits free. As many as that, 12 at most, are its tag: the lowest bits of the row's
// key in the chunk after c, the first after the last. Most rows that are too far away show it there and are never read.
// A single chunk that has every bit says all of a code: then there are no rows, and its buckets are read in order.
#pragma once

#include <cstdint>

#include "hashkernels/codes.h"
#include "hashkernels/index.h"
#include "hashkernels/search.h"
#include "hashkernels/status.h"

namespace hashkernels {

inline constexpr int kMaxChunks = 512;
inline constexpr int kMaxChunkBits = 24;
inline constexpr int kBucketBits = 16;  // up to so many bits a single chunk has them all
inline constexpr int64_t kMaxHashedCodes = int64_t{1} << 31;
inline constexpr int kMaxTagBits = 12;

// Of each slot; the row is in the others.
inline int tag_bits(int64_t num_codes) noexcept {
  int bits = kMaxTagBits;
  while ((num_codes - 1) >> (32 - bits) > 0) --bits;
  return bits;
}

struct HashTables {
  int64_t num_codes;
  int num_bytes, num_chunks;
  const int32_t* widths;  // bits of each chunk
  const uint16_t* order;
  const uint32_t* offsets;
  const uint64_t* rows;
  const uint32_t* ids;
  const uint32_t* slots;
};

// Chooses chunks for these codes of `bits` bits, in numpy's order "little" or "big": writes order and widths (room for
// kMaxChunks), returns their number. Bits that vary most come first, each goes where it says most that the others of
// the chunk do not.
int choose_chunks(const SlicedCodes& codes, int bits, bool little, uint16_t* order, int32_t* widths) noexcept;

// Fills offsets, rows (null where there are none), ids and slots.
Status build_hash_tables(const SlicedCodes& codes, const HashTables& tables, uint32_t* offsets, uint64_t* rows,
                         uint32_t* ids, uint32_t* slots, int num_threads) noexcept;

// As in search.h, with the same results, unless a query is expected to take more than max_work, or turns out to: then
// *done is false, there are no finds, and counts are unspecified. In nanoseconds of one core, as most_hash_work() has
// it (index.h).
Status range_search(const Codes& queries, const HashTables& tables, int radius, int64_t max_results,
                    const uint8_t* allowed, double max_work, bool* done, RangeFinds* finds, int num_threads) noexcept;
Status range_count(const Codes& queries, const HashTables& tables, int radius, const uint8_t* allowed, double max_work,
                   bool* done, int64_t* counts, int num_threads) noexcept;

// As in search.h, but a query that takes more than max_work is given up, as early as what it has found, or the size of
// a bucket, foretells that: done[q] is 0 then, and its results are unspecified.
Status topk(const Codes& queries, const HashTables& tables, int64_t k, const uint8_t* allowed, double max_work,
            int32_t* distances, int64_t* indices, uint8_t* done, int num_threads) noexcept;

}  // namespace hashkernels
