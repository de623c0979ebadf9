// Histograms of distances over bit-sliced codes (sliced_kernels.hpp), for many queries on one carry table.
//
// All codes of a block are of one parity (parity_reader.hpp), so that the lowest bit of a distance is known for each
// query. Eight neighbouring distances make a group: they share the high planes of the distance, and the four of them
// that there can be, its buckets, differ in the next two. A group nobody falls into costs one test; in the others every
// bucket is the popcount of an intersection of planes.
#pragma once

#include <cstdint>

#include "counting_kernels.hpp"
#include "sliced_kernels.hpp"

namespace hashkernels {

// One block of the database. A class plane has a bit for every code of the block: whether it is of that class. Kernels
// of all codes alone read no classes, and those that count no words.
struct HistogramBlock {
  const uint8_t* table;
  const uint64_t* valid;         // kHitWords: the codes to be counted
  const uint64_t* class_planes;  // kHitWords each
  const uint64_t* words;         // of the codes (blocks.hpp)
  int parity;                    // of every code
};

// Query q picks nodes() + 1 table entries; what is relevant to it is of a class in
// classes[class_ends[q] .. class_ends[q + 1]).
struct HistogramQueries {
  int64_t num_queries;
  int num_bytes;
  const uint16_t* picks;
  const uint32_t* class_ends;
  const uint32_t* classes;
  const uint64_t* words;  // of the codes, one query after the other
  const uint8_t* parities;
};

// A query's counters: for every group of the codes that are not relevant, then of those that are (or of all codes
// alone), two times kHitWords words of four 16-bit counters. Field f of each word of half h counts distance 8 * group +
// 2 * f + h; the words hold parts of one count, to be summed.
inline constexpr int kHistogramGroupWords = 2 * kHitWords;
inline constexpr int histogram_groups(int num_bytes) { return num_bytes + 1; }
inline constexpr int64_t histogram_words(int num_bytes, bool relevance) {
  return int64_t{relevance ? 2 : 1} * histogram_groups(num_bytes) * kHistogramGroupWords;
}

// A block adds at most its size to a counter, in at least four words, so this many blocks fit.
inline constexpr int64_t kHistogramBlocks = 0xFFFF / 128;

// Adds one block to the counters of every query.
using AddToHistograms = void (*)(const HistogramBlock& block, const HistogramQueries& queries, uint64_t* counters);

// The kernel for codes of that many bytes, with relevance or of all codes alone; null where there is none.
using SelectHistogram = AddToHistograms (*)(int num_bytes, bool relevance);

// Ranks what is relevant to one query in one block. before[d] = codes that come before the first one of the block at
// distance d, hits[d] = relevant ones; both are led on to the next block. Zero is added to up to seven elements of
// before past the last distance.
using RankRelevant = void (*)(const HistogramBlock& block, const HistogramQueries& queries, int64_t query,
                              int64_t* before, int64_t* hits, RankedCodes* ranked);

AddToHistograms select_histogram_none(int num_bytes, bool relevance);
AddToHistograms select_histogram_avx2(int num_bytes, bool relevance);
AddToHistograms select_histogram_avx512(int num_bytes, bool relevance);
AddToHistograms select_histogram_avx512_vpopcnt(int num_bytes, bool relevance);

void rank_relevant_avx2(const HistogramBlock& block, const HistogramQueries& queries, int64_t query, int64_t* before,
                        int64_t* hits, RankedCodes* ranked);
void rank_relevant_avx512(const HistogramBlock& block, const HistogramQueries& queries, int64_t query, int64_t* before,
                          int64_t* hits, RankedCodes* ranked);
void rank_relevant_avx512_vpopcnt(const HistogramBlock& block, const HistogramQueries& queries, int64_t query,
                                  int64_t* before, int64_t* hits, RankedCodes* ranked);

}  // namespace hashkernels
