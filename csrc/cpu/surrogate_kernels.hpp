// What the surrogate posterior asks of an instruction set: the rows of some items of one block.
#pragma once

#include <cstdint>

namespace hashkernels {

// Rows of workspaces are whole cache lines: "padded" is `hidden` rounded up to them.
inline constexpr int kSurrogateLineBytes = 64;

template <class T>
struct HiddenRows {
  const T* x;  // [num_items][size], item_stride apart
  int64_t item_stride;
  const T* weight;  // [size][padded], zero past `hidden`
  const T* bias;    // [padded]
  int64_t num_items, hidden, padded;
  int size;
  const uint64_t* kept;  // [num_items][ceil(hidden / 64)], or null
  T scale;
  T* units;  // [num_items][hidden], written
  T* slope;  // [num_items][hidden], written
};

template <class T>
struct SoftmaxRows {
  const T* logits;  // [num_items][num_patterns]
  int64_t num_items, num_patterns;
  T* probabilities;  // like logits, written; may be the same
  T* largest;        // [num_items], written: the largest logit of each row
  T* total;          // [num_items], written: the sum of exp(logit - largest)
};

template <class T>
struct HiddenGradientRows {
  const T* x;  // [num_items][size], item_stride apart
  int64_t item_stride;
  const T* weight;  // [size][padded], zero past `hidden`
  int64_t num_items, hidden, padded;
  int size;
  const T* product;         // [num_items][hidden]
  const T* slope;           // [num_items][hidden]
  const T* weight_out;      // [num_patterns][hidden]
  const int64_t* own;       // [num_items]
  const int64_t* target;    // [num_items]
  T* grad_x;                // [num_items][size], written; null: not wanted
  T* grad_weight_and_bias;  // [size + 1][padded], added to, the bias last; null: not wanted
  T* at_hidden;             // [2][padded], workspace
};

template <class T>
struct SurrogateKernels {
  void (*hidden)(const HiddenRows<T>& rows);
  void (*softmax)(const SoftmaxRows<T>& rows);
  void (*gradients)(const HiddenGradientRows<T>& rows);
};

extern const SurrogateKernels<float> kSurrogateF32Scalar, kSurrogateF32Avx2, kSurrogateF32Avx512, kSurrogateF32Neon;
extern const SurrogateKernels<double> kSurrogateF64Scalar, kSurrogateF64Avx2, kSurrogateF64Avx512, kSurrogateF64Neon;

}  // namespace hashkernels
