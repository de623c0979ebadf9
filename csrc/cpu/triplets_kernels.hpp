// What the likelihood of triplets asks of an instruction set: all triplets of one query.
#pragma once

#include <cstdint>

namespace hashkernels {

template <class T>
struct TripletQuery {
  const T* relevant;    // [num_relevant]: margin - similarity
  const T* irrelevant;  // [num_irrelevant]: similarity
  int64_t num_relevant, num_irrelevant;
  T* relevant_slopes;    // [num_relevant], written: derivatives of the sum by the values above
  T* irrelevant_slopes;  // [num_irrelevant], added to
};

// Returns the sum of softplus(relevant + irrelevant) over all pairs.
template <class T>
using TripletKernel = double (*)(const TripletQuery<T>& query);

double triplets_f32_scalar(const TripletQuery<float>& query);
double triplets_f32_avx2(const TripletQuery<float>& query);
double triplets_f32_avx512(const TripletQuery<float>& query);
double triplets_f32_neon(const TripletQuery<float>& query);

double triplets_f64_scalar(const TripletQuery<double>& query);
double triplets_f64_avx2(const TripletQuery<double>& query);
double triplets_f64_avx512(const TripletQuery<double>& query);
double triplets_f64_neon(const TripletQuery<double>& query);

}  // namespace hashkernels
