// Runs a function over all pairs, tile by tile.
//
// The order in which tiles add to a row of the gradient, and to the sums, is fixed by the sizes alone: any number of
// threads gives the same bits.
#pragma once

#include <cstdint>

#include "hashkernels/pairwise.h"
#include "pairwise_kernels.hpp"
#include "pairwise_labels.hpp"
#include "pairwise_rows.hpp"

namespace hashkernels {

template <class T>
struct Pairs {
  const Embeddings<T>& u;
  const Embeddings<T>& v;  // null data: u itself, pairs i != j
  int64_t bits;
  const PairLabels<typename PairLane<T>::Int>& labels;
  PairwiseKernel<T> kernel;

  bool itself() const { return v.data == nullptr; }
};

// sums[0] = sum of the function over ordered relevant pairs, sums[1] = over the others; grad (null, or
// [u.num_rows][bits]) = gradient with respect to u. The slopes in `parameters` are those of one ordered pair.
template <class T>
Status run_pairs(const Pairs<T>& pairs, const PairParameters<T>& parameters, double* sums, T* grad,
                 int num_threads) noexcept;

}  // namespace hashkernels
