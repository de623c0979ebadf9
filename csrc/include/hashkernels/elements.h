// Losses that are sums over the values of embeddings, each looked at by itself: value and gradient in one pass.
//
// T is float or double; a NaN among the values makes the sum one. The same bits at any number of threads of one
// instruction set.
#pragma once

#include <cstdint>

#include "hashkernels/status.h"

namespace hashkernels {

// The loss of a value u. t is its target, -1 or +1, or 0 for none, which makes the loss of kHinge and kLogistic 0. At
// u = 0 the derivative of |u| is 0.
enum class ElementFunction {
  kHinge,      // max(0, parameter - t u)
  kLogistic,   // log(1 + exp(-parameter t u))
  kTanhError,  // (|tanh(parameter u / 2)| - 1)^2
  kLogCosh,    // log cosh(|u| - 1)
  kAbsolute,   // ||u| - 1|
};
inline constexpr int kElementFunctions = 5;

struct ElementTerm {
  ElementFunction function;
  double parameter, weight;
};

// sums[i] = terms[i].weight * the sum of its function over u[0 .. count - 1]. targets: -1, 0 or 1 for each value, or
// null where no term needs them. grad: null, or `count` values that receive the derivatives of the sum of all terms.
template <class T>
Status element_loss(const T* u, const int8_t* targets, int64_t count, const ElementTerm* terms, int num_terms,
                    double* sums, T* grad, int num_threads) noexcept;

extern template Status element_loss(const float*, const int8_t*, int64_t, const ElementTerm*, int, double*, float*,
                                    int) noexcept;
extern template Status element_loss(const double*, const int8_t*, int64_t, const ElementTerm*, int, double*, double*,
                                    int) noexcept;

}  // namespace hashkernels
