// All triplets of a query: every relevant item against vectors of the others. The arithmetic of softplus and its slope
// is nearly all of the time.
#pragma once

#include "pairwise_functions.hpp"
#include "triplets_kernels.hpp"

namespace hashkernels {
namespace {

template <class S>
double triplets_of(const TripletQuery<typename S::T>& query) {
  using T = typename S::T;
  using Vector = typename S::Vector;
  PairParameters<T> parameters{};
  parameters.scale = 1;
  const Likelihood<S> softplus(parameters);
  typename S::Mask lane{};
  for (int i = 0; i < S::kLanes; ++i) lane[i] = i;
  const int64_t whole = query.num_irrelevant / S::kLanes * S::kLanes;
  const int rest = static_cast<int>(query.num_irrelevant - whole);
  double total = 0;
  for (int64_t p = 0; p < query.num_relevant; ++p) {
    Vector values{}, slopes{};
    for (int64_t n = 0; n < whole; n += S::kLanes) {
      const Loss<S> loss = softplus(load<Vector>(query.irrelevant + n) + query.relevant[p], typename S::Mask{});
      values += loss.value;
      slopes += loss.slope;
      store(query.irrelevant_slopes + n, load<Vector>(query.irrelevant_slopes + n) + loss.slope);
    }
    if (rest > 0) {
      Vector last{};
      for (int i = 0; i < rest; ++i) last[i] = query.irrelevant[whole + i];
      const Loss<S> loss = softplus(last + query.relevant[p], typename S::Mask{});
      values += lane < rest ? loss.value : Vector{};
      slopes += lane < rest ? loss.slope : Vector{};
      for (int i = 0; i < rest; ++i) query.irrelevant_slopes[whole + i] += loss.slope[i];
    }
    query.relevant_slopes[p] = sum_of_lanes<S>(slopes);
    total += sum_of_lanes<S>(values);
  }
  return total;
}

}  // namespace
}  // namespace hashkernels
