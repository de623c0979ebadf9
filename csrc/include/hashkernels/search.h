// Exact top-k and radius search. Every row of a result is ordered by (distance, index).
#pragma once

#include <cstdint>
#include <memory>

#include "hashkernels/codes.h"
#include "hashkernels/status.h"

namespace hashkernels {

// Fills distances[q * k + i] and indices[q * k + i], i < k, with the k nearest database codes of query q.
// `allowed`: null, or one byte a database code, nonzero where the code may be returned; rows with fewer than k allowed
// codes end in (INT32_MAX, -1). 1 <= k <= database.num_codes.
Status topk(const Codes& queries, const Codes& database, int64_t k, const uint8_t* allowed, int32_t* distances,
            int64_t* indices, int num_threads) noexcept;

// What a radius search found, held until the caller has made room for it: nothing is searched twice.
class RangeFinds {
 public:
  RangeFinds() noexcept;
  ~RangeFinds();

  // After a search that returned kOk. The results of query q are at offsets()[q] .. offsets()[q + 1]; counts()[q] is
  // how many codes lie within the radius, those that max_results cut off included.
  const int64_t* offsets() const noexcept;
  const int64_t* counts() const noexcept;
  Status write(int32_t* distances, int64_t* indices, int num_threads) const noexcept;

  struct State;
  std::unique_ptr<State> state;  // for kernels
};

// All database codes within `radius` (inclusive) of each query; of these the max_results nearest, unless that is 0.
// `allowed` as above.
Status range_search(const Codes& queries, const Codes& database, int radius, int64_t max_results,
                    const uint8_t* allowed, RangeFinds* finds, int num_threads) noexcept;

// counts[q] = how many those are.
Status range_count(const Codes& queries, const Codes& database, int radius, const uint8_t* allowed, int64_t* counts,
                   int num_threads) noexcept;

}  // namespace hashkernels
