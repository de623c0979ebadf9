// Scores of candidates by the dot product with a float query, which order a short list better than Hamming distance.
//
// The order of the sums is part of the contract, so that scores, and what is sorted by them, are the same bits on every
// instruction set, thread count and machine. Products and sums are float32, none fused.
#pragma once

#include <cstdint>

#include "hashkernels/status.h"

namespace hashkernels {

struct FloatQueries {
  const float* data;
  int64_t num_queries;
  int64_t stride;  // floats
  int num_values;
};

// scores[q * num_candidates + c] = the dot product of query q with the -1/+1 view of the packed code of its candidate
// c, at codes + (q * num_candidates + c) * ceil(num_values / 8). Of four values in a row, from a multiple of four on,
// the sum is (v0 + v1) + (v2 + v3), missing ones 0; that of group g is added to sum g % 4, in order of g; the score is
// (s0 + s1) + (s2 + s3). `little`: the first bit is the least significant of its byte, else the most.
Status score_codes(const FloatQueries& queries, const uint8_t* codes, int64_t num_candidates, bool little,
                   float* scores, int num_threads) noexcept;

// The same for rows of num_values values, `row_stride` values apart, at positions[q * num_candidates + c]; a negative
// position scores -infinity. Value i is added to sum i % 8, in order of i; the score is
// ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7)).
template <class T>
Status score_vectors(const FloatQueries& queries, const T* vectors, int64_t row_stride, const int64_t* positions,
                     int64_t num_candidates, float* scores, int num_threads) noexcept;

extern template Status score_vectors(const FloatQueries&, const float*, int64_t, const int64_t*, int64_t, float*,
                                     int) noexcept;
extern template Status score_vectors(const FloatQueries&, const int8_t*, int64_t, const int64_t*, int64_t, float*,
                                     int) noexcept;

}  // namespace hashkernels
