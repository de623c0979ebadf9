// Retrieval counting: what every tie-aware metric needs, and the exact pass in index order.
#pragma once

#include <cstdint>

#include "hashkernels/codes.h"
#include "hashkernels/status.h"

namespace hashkernels {

// Labels of the items of a Codes. words == 0: one int64 class id an item. words > 0: `words` uint64 an item, bit c % 64
// of word c / 64 set where the item has class c. Two items are relevant to each other when their ids are equal, or
// share a bit.
struct Labels {
  const void* data;
  int words;
};

// total[q * stride + d] = database codes at distance d of query q, relevant[...] = those of them that are relevant;
// d in [0, 8 * num_bytes], stride = 8 * num_bytes + 1.
Status retrieval_counts(const Codes& queries, const Codes& database, Labels query_labels, Labels database_labels,
                        int64_t* total, int64_t* relevant, int num_threads) noexcept;

// What retrieval_counts found, or the first num_levels distances of it where none is greater: at [q * stride + d].
// Null: not known.
struct LevelCounts {
  const int64_t* total = nullptr;
  const int64_t* relevant = nullptr;
  int64_t stride = 0, num_levels = 0;
};

// The database in (distance, index) order of query q, cut at each of the ascending `cutoffs`:
// hits[q * num_cutoffs + c] = relevant codes within the first cutoffs[c];
// precision_sum[...] = sum over those of (relevant codes up to and including it) / (its rank from 1), every quotient a
// correctly rounded double, rounded (half to even) to a multiple of 2^-40, summed exactly in 128 bits, converted once
// to double. Any order of adding gives the same bits. Counts that are known are not found again.
Status index_order_precision(const Codes& queries, const Codes& database, Labels query_labels, Labels database_labels,
                             const LevelCounts& counts, const int64_t* cutoffs, int num_cutoffs, int64_t* hits,
                             double* precision_sum, int num_threads) noexcept;

}  // namespace hashkernels
