// The networks of a surrogate posterior, but for their two large products, which a matrix library does best.
//
// A block of a code has a network of its own: a hidden layer silu(weight x + bias), of which units are dropped, and a
// softmax over the sign patterns of the block. All blocks are of one size and stacked along the first dimension; arrays
// are contiguous unless a stride is given. T is float or double; NaN comes out as NaN. The same bits at any number of
// threads of one instruction set.
#pragma once

#include <cstdint>

#include "hashkernels/status.h"

namespace hashkernels {

// A code block has at most so many bits, and so many patterns as they have values.
inline constexpr int kMaxBlockBits = 12;

template <class T>
struct HiddenLayer {
  const T* x;                         // [num_blocks][num_items][size]
  int64_t block_stride, item_stride;  // of x, in elements
  const T* weight;                    // [num_blocks][hidden][size]
  int64_t num_blocks, num_items, hidden;
  int size;
};

// units = scale * keep * silu(z) and slope = scale * keep * silu'(z), z = weight x + bias: both [num_blocks][num_items]
// [hidden], bias [num_blocks][hidden]. keep is bit h % 64 of word h / 64 of kept [num_blocks][num_items]
// [ceil(hidden / 64)], or 1 where kept is null.
template <class T>
Status hidden_units(const HiddenLayer<T>& layer, const T* bias, const uint64_t* kept, T scale, T* units, T* slope,
                    int num_threads) noexcept;

// The item n of block k has two patterns, patterns[k][0][n], its own, and patterns[k][1][n], its target.
struct Patterns {
  const int64_t* patterns;  // [num_blocks][2][num_items], in 0..num_patterns-1
  int64_t num_blocks, num_items, num_patterns;
};

// errors = softmax(logits) - 1 at the own pattern: [num_blocks][num_items][num_patterns] like logits, which it may be.
// nll[0] and nll[1] are minus the log-probabilities of the own and the target patterns, added up over blocks and items,
// in the second of which item n counts weights[n] times where weights is given.
template <class T>
Status pattern_errors(const Patterns& patterns, const T* logits, const T* weights, T* errors, double* nll,
                      int num_threads) noexcept;

// What comes of `product` = errors weight_out [num_blocks][num_items][hidden], the gradient at the units of the
// cross-entropy to the own patterns; that of the other differs by rows of weight_out [num_blocks][num_patterns]
// [hidden]. grad_x [num_blocks][num_items][size] is that of the latter, grad_weight and grad_bias, shaped like weight
// and bias, are those of the former. grad_x, or both of these, may be null: not wanted.
template <class T>
struct HiddenGradients {
  const T* product;
  const T* slope;
  const T* weight_out;
  T* grad_x;
  T* grad_weight;
  T* grad_bias;
};

template <class T>
Status hidden_gradients(const HiddenLayer<T>& layer, const Patterns& patterns, const HiddenGradients<T>& gradients,
                        int num_threads) noexcept;

extern template Status hidden_units(const HiddenLayer<float>&, const float*, const uint64_t*, float, float*, float*,
                                    int) noexcept;
extern template Status hidden_units(const HiddenLayer<double>&, const double*, const uint64_t*, double, double*,
                                    double*, int) noexcept;
extern template Status pattern_errors(const Patterns&, const float*, const float*, float*, double*, int) noexcept;
extern template Status pattern_errors(const Patterns&, const double*, const double*, double*, double*, int) noexcept;
extern template Status hidden_gradients(const HiddenLayer<float>&, const Patterns&, const HiddenGradients<float>&,
                                        int) noexcept;
extern template Status hidden_gradients(const HiddenLayer<double>&, const Patterns&, const HiddenGradients<double>&,
                                        int) noexcept;

}  // namespace hashkernels
