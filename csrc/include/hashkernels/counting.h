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

// Where the codes of a database stand in a ranking that it is a contiguous part of: at
// [q * (8 * num_bytes + 1) + d] how many codes, and how many relevant ones, come before its first code at distance d
// from query q. Null: the database is all that is ranked.
struct RankStarts {
  const int64_t* ranks = nullptr;
  const int64_t* hits = nullptr;
};

// The database in (distance, index) order of query q, cut at each of the ascending `cutoffs`, where
// sums[(i * num_queries + q) * num_cutoffs + c], i = 0 .. 2, receives
//   0: relevant codes within the first cutoffs[c];
//   1, 2: the high and the low half of the sum over those of (relevant codes up to and including it) / (its rank from
//   1), every quotient a correctly rounded double, rounded (half to even) to a multiple of 2^-40:
//   (high * 2^20 + low) * 2^-40, low < 2^20.
// Sums are integers, so any order of adding gives the same bits, and those of the parts of a ranking add up. Codes are
// counted first where there are no starts.
Status index_order_sums(const Codes& queries, const Codes& database, Labels query_labels, Labels database_labels,
                        const RankStarts& starts, const int64_t* cutoffs, int num_cutoffs, int64_t* sums,
                        int num_threads) noexcept;

}  // namespace hashkernels
