// Exact top-k and radius search. Every row of a result is ordered by (distance, index).
#pragma once

#include <cstdint>

#include "hashkernels/codes.h"
#include "hashkernels/status.h"

namespace hashkernels {

// Fills distances[q * k + i] and indices[q * k + i], i < k, with the k nearest database codes of query q.
// `allowed`: null, or one byte a database code, nonzero where the code may be returned; rows with fewer than k allowed
// codes end in (INT32_MAX, -1). 1 <= k <= database.num_codes.
Status topk(const Codes& queries, const Codes& database, int64_t k, const uint8_t* allowed, int32_t* distances,
            int64_t* indices, int num_threads) noexcept;

// counts[q] = number of database codes within `radius` (inclusive) of query q.
Status range_count(const Codes& queries, const Codes& database, int radius, int64_t* counts, int num_threads) noexcept;

// Writes the codes within `radius` of query q at offsets[q] .. offsets[q + 1]; offsets hold the running sum of
// range_count.
Status range_fill(const Codes& queries, const Codes& database, int radius, const int64_t* offsets, int32_t* distances,
                  int64_t* indices, int num_threads) noexcept;

}  // namespace hashkernels
