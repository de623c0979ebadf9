#include "hashkernels/rescore.h"

#include <algorithm>
#include <limits>

#include "hashkernels/codes.h"
#include "parallel.hpp"

namespace hashkernels {
namespace {

constexpr int kGroup = 4;  // values a table
constexpr int kLanes = 8;  // sums of a dot product
constexpr int64_t kCandidatesPerTask = 1024;

// Calls body(query, first, last) for every query's candidates first..last - 1.
template <class Body>
Status for_each_part(int64_t num_queries, int64_t num_candidates, int num_threads, Body&& body) noexcept {
  const int64_t parts = (num_candidates + kCandidatesPerTask - 1) / kCandidatesPerTask;
  return parallel_for(num_queries * parts, num_threads, [&](int64_t task, int) {
    const int64_t first = task % parts * kCandidatesPerTask;
    body(task / parts, first, std::min(first + kCandidatesPerTask, num_candidates));
  });
}

// table[16 * g + bits] = the sum of group g where `bits` are set, the lowest bit of `bits` being the group's first
// value where `little`, else its last.
void fill_tables(const float* query, int num_values, int num_groups, bool little, float* table) {
  for (int group = 0; group < num_groups; ++group) {
    float value[kGroup];
    for (int i = 0; i < kGroup; ++i) {
      const int at = kGroup * group + i;
      value[i] = at < num_values ? query[at] : 0.0f;
    }
    for (int bits = 0; bits < 16; ++bits) {
      float term[kGroup];
      for (int i = 0; i < kGroup; ++i) {
        const bool set = (bits >> (little ? i : kGroup - 1 - i)) & 1;
        term[i] = set ? value[i] : -value[i];
      }
      table[16 * group + bits] = (term[0] + term[1]) + (term[2] + term[3]);
    }
  }
}

}  // namespace

Status score_codes(const FloatQueries& queries, const uint8_t* codes, int64_t num_candidates, bool little,
                   float* scores, int num_threads) noexcept {
  const int num_bytes = (queries.num_values + 7) / 8;
  const int first_nibble = little ? 0 : 4;
  return for_each_part(queries.num_queries, num_candidates, num_threads, [&](int64_t q, int64_t first, int64_t last) {
    float table[16 * 2 * kMaxBytes];
    fill_tables(queries.data + q * queries.stride, queries.num_values, 2 * num_bytes, little, table);
    for (int64_t c = first; c < last; ++c) {
      const uint8_t* code = codes + (q * num_candidates + c) * num_bytes;
      float sum[4] = {};
      for (int byte = 0; byte < num_bytes; ++byte) {
        const float* at = table + 32 * byte;
        sum[2 * byte % 4] += at[(code[byte] >> first_nibble) & 15];
        sum[2 * byte % 4 + 1] += at[16 + ((code[byte] >> (4 - first_nibble)) & 15)];
      }
      scores[q * num_candidates + c] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    }
  });
}

template <class T>
Status score_vectors(const FloatQueries& queries, const T* vectors, int64_t row_stride, const int64_t* positions,
                     int64_t num_candidates, float* scores, int num_threads) noexcept {
  return for_each_part(queries.num_queries, num_candidates, num_threads, [&](int64_t q, int64_t first, int64_t last) {
    const float* query = queries.data + q * queries.stride;
    for (int64_t c = q * num_candidates + first; c < q * num_candidates + last; ++c) {
      if (positions[c] < 0) {
        scores[c] = -std::numeric_limits<float>::infinity();
        continue;
      }
      const T* row = vectors + positions[c] * row_stride;
      float sum[kLanes] = {};
      int i = 0;
      for (; i + kLanes <= queries.num_values; i += kLanes) {
        for (int lane = 0; lane < kLanes; ++lane) sum[lane] += query[i + lane] * static_cast<float>(row[i + lane]);
      }
      for (int lane = 0; i + lane < queries.num_values; ++lane) {
        sum[lane] += query[i + lane] * static_cast<float>(row[i + lane]);
      }
      scores[c] = ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
    }
  });
}

template Status score_vectors(const FloatQueries&, const float*, int64_t, const int64_t*, int64_t, float*,
                              int) noexcept;
template Status score_vectors(const FloatQueries&, const int8_t*, int64_t, const int64_t*, int64_t, float*,
                              int) noexcept;

}  // namespace hashkernels
