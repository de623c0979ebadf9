// The logistic likelihood of triplets: a query is nearer to its relevant items than to the others, by a margin.
//
// Every row q of `similarities` is a query, every column an item, and the loss is
//   sum over q of weights[q] * sum over p, n of softplus(similarities[q][n] + margin - similarities[q][p]),
// with p the items marked in `relevant`, n those marked in `irrelevant`, and softplus(x) = log(1 + e^x). No triplet is
// stored. T is float or double; NaN comes out as NaN. The same bits at any number of threads of one instruction set.
#pragma once

#include <cstdint>

#include "hashkernels/status.h"

namespace hashkernels {

// All arrays are contiguous, [num_queries] or [num_queries][num_items]; marks are 0 or 1, and no item has both. grad:
// null, or what receives the derivative by the similarities.
template <class T>
struct Triplets {
  const T* similarities;
  const uint8_t* relevant;
  const uint8_t* irrelevant;
  const double* weights;
  int64_t num_queries, num_items;
  double margin;
};

template <class T>
Status triplet_likelihood(const Triplets<T>& triplets, double* loss, T* grad, int num_threads) noexcept;

extern template Status triplet_likelihood(const Triplets<float>&, double*, float*, int) noexcept;
extern template Status triplet_likelihood(const Triplets<double>&, double*, double*, int) noexcept;

}  // namespace hashkernels
