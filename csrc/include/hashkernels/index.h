// Codes stored bit-sliced: the form that the fastest scan reads, kept so that no search has to make it.
//
// The one copy of the codes is a run of blocks of 512. A block is 8 * num_bytes planes of 64 bytes; plane b holds bit
// b % 8 (from the least significant) of byte b / 8 of every code: that of code i of the block is bit i % 8 of the
// plane's byte i / 8. The last block is stored whole. So N codes take ceil(N / 512) * 512 * num_bytes bytes, the same
// on every machine, and the memory may be a mapped file. The caller owns it.
#pragma once

#include <cstdint>

#include "hashkernels/codes.h"
#include "hashkernels/search.h"
#include "hashkernels/status.h"

namespace hashkernels {

struct SlicedCodes {
  const uint64_t* planes;  // aligned to 8 bytes
  int64_t num_codes;
  int num_bytes;  // bytes a code, 1..kMaxBytes
};

// Bytes that num_codes codes take.
int64_t sliced_size(int64_t num_codes, int num_bytes) noexcept;

// Stores `codes` at positions first, first + 1, ...: positions before stay, those after, to the end of the last block,
// become unspecified.
Status slice_codes(const Codes& codes, int64_t first, uint64_t* planes, int num_threads) noexcept;

// Writes codes first, first + 1, ... < first + count as rows of num_bytes bytes that lie out_stride bytes apart.
Status unslice_codes(const SlicedCodes& codes, int64_t first, int64_t count, uint8_t* out, int64_t out_stride,
                     int num_threads) noexcept;

// The same for any positions, in any order.
Status gather_codes(const SlicedCodes& codes, const int64_t* positions, int64_t count, uint8_t* out,
                    int64_t out_stride) noexcept;

// As in search.h, with the same results.
Status topk(const Codes& queries, const SlicedCodes& database, int64_t k, const uint8_t* allowed, int32_t* distances,
            int64_t* indices, int num_threads) noexcept;
Status range_search(const Codes& queries, const SlicedCodes& database, int radius, int64_t max_results,
                    const uint8_t* allowed, RangeFinds* finds, int num_threads) noexcept;
Status range_count(const Codes& queries, const SlicedCodes& database, int radius, const uint8_t* allowed,
                   int64_t* counts, int num_threads) noexcept;

// How a search of so many queries and codes runs, which is how it is expected to be fastest: "rows" (popcounts of the
// codes where they lie, or of a copy of few of them), "planes" (bit-sliced, one query at a time) or "sums" (bit-sliced,
// all queries on one carry table a block). `sliced`: over SlicedCodes, else over Codes.
const char* search_method(bool sliced, int num_bytes, int64_t num_queries, int64_t num_codes, int num_threads) noexcept;

// What a query may take through hash tables until a search through planes would be faster, in nanoseconds of one core.
// All numbers are 1 at least.
double most_hash_work(int num_bytes, int64_t num_queries, int64_t num_codes, int num_threads) noexcept;

}  // namespace hashkernels
