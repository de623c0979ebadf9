// What metrics over ties need of rankings.
#pragma once

#include <cstdint>

namespace hashkernels {

// Rankings of some queries: the items of each tie and those of them that are relevant, for query q and tie t at
// [q * query_stride + t * tie_stride].
struct TieCounts {
  const int64_t* size;
  const int64_t* positives;
  int64_t num_queries, num_ties, query_stride, tie_stride;
};

}  // namespace hashkernels
