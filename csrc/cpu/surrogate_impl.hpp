// Rows of vectors that run along the hidden units or the patterns. A product with the few bits of a block has them as
// its short dimension, for which a matrix library is slow; here it rides along with the activation or its gradient,
// while the row is in registers.
#pragma once

#include "pairwise_math.hpp"
#include "surrogate_kernels.hpp"

namespace hashkernels {
namespace {

// The first `count` lanes, the others zero.
template <class S>
inline typename S::Vector load_some(const typename S::T* values, int64_t count) {
  if (count >= S::kLanes) return load<typename S::Vector>(values);
  typename S::Vector result{};
  for (int i = 0; i < count; ++i) result[i] = values[i];
  return result;
}

template <class S>
inline void store_some(typename S::T* values, typename S::Vector vector, int64_t count) {
  if (count >= S::kLanes) return store(values, vector);
  for (int i = 0; i < count; ++i) values[i] = vector[i];
}

template <class S>
inline typename S::Mask lane_bits() {
  typename S::Mask bits{};
  for (int i = 0; i < S::kLanes; ++i) bits[i] = typename S::Int{1} << i;
  return bits;
}

template <class S, bool kDrops>
void hidden_rows(const HiddenRows<typename S::T> rows) {
  using T = typename S::T;
  using Vector = typename S::Vector;
  using Mask = typename S::Mask;
  const int64_t num_words = (rows.hidden + 63) / 64;
  const Mask bits = lane_bits<S>();
  const Vector scale = splat<Vector>(rows.scale);
  for (int64_t n = 0; n < rows.num_items; ++n) {
    const T* const x = rows.x + n * rows.item_stride;
    const uint64_t* const kept = kDrops ? rows.kept + n * num_words : nullptr;
    for (int64_t h = 0; h < rows.hidden; h += S::kLanes) {
      Vector z = load<Vector>(rows.bias + h);
      const T* const weight = rows.weight + h;
      int j = 0;
      for (; j + 4 <= rows.size; j += 4) {
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) z += x[j + i] * load<Vector>(weight + (j + i) * rows.padded);
      }
      for (; j < rows.size; ++j) z += x[j] * load<Vector>(weight + j * rows.padded);
      const Vector e = exp_of_negative<S>(z > 0 ? -z : z);
      const Vector logistic = 1 / (1 + e);
      const Vector gate = z < 0 ? e * logistic : logistic;
      Vector factor = gate * scale;
      if constexpr (kDrops) {
        const Mask word = splat<Mask>(static_cast<typename S::Int>(kept[h / 64] >> (h % 64)));
        factor = (word & bits) != 0 ? factor : Vector{};
      }
      store_some<S>(rows.units + n * rows.hidden + h, z * factor, rows.hidden - h);
      store_some<S>(rows.slope + n * rows.hidden + h, factor * (1 + z * (1 - gate)), rows.hidden - h);
    }
  }
}

template <class S>
void hidden(const HiddenRows<typename S::T>& rows) {
  rows.kept == nullptr ? hidden_rows<S, false>(rows) : hidden_rows<S, true>(rows);
}

template <class S>
void softmax(const SoftmaxRows<typename S::T>& rows) {
  using T = typename S::T;
  using Vector = typename S::Vector;
  const int64_t whole = rows.num_patterns / S::kLanes * S::kLanes;
  const int64_t rest = rows.num_patterns - whole;
  for (int64_t n = 0; n < rows.num_items; ++n) {
    const T* const logits = rows.logits + n * rows.num_patterns;
    T* const out = rows.probabilities + n * rows.num_patterns;
    Vector highest = splat<Vector>(logits[0]);
    for (int64_t p = 0; p < whole; p += S::kLanes) {
      const Vector values = load<Vector>(logits + p);
      highest = values > highest ? values : highest;
    }
    T largest = highest[0];
    for (int i = 1; i < S::kLanes; ++i) largest = highest[i] > largest ? highest[i] : largest;
    for (int64_t p = whole; p < rows.num_patterns; ++p) largest = logits[p] > largest ? logits[p] : largest;

    Vector sums{};
    for (int64_t p = 0; p < whole; p += S::kLanes) {
      const Vector e = exp_of_negative<S>(load<Vector>(logits + p) - largest);
      sums += e;
      store(out + p, e);
    }
    T total = sum_of_lanes<S>(sums);
    if (rest > 0) {
      const Vector e = exp_of_negative<S>(load_some<S>(logits + whole, rest) - largest);
      store_some<S>(out + whole, e, rest);
      for (int i = 0; i < rest; ++i) total += e[i];
    }
    const T share = 1 / total;
    for (int64_t p = 0; p < whole; p += S::kLanes) store(out + p, load<Vector>(out + p) * share);
    for (int64_t p = whole; p < rows.num_patterns; ++p) out[p] *= share;
    rows.largest[n] = largest;
    rows.total[n] = total;
  }
}

// The gradients that kBits bits of the code take part in, of one item.
template <class S, int kBits, bool kInputs, bool kParameters>
void gradients_of_bits(const HiddenGradientRows<typename S::T> rows, int64_t n, int first) {
  using T = typename S::T;
  using Vector = typename S::Vector;
  const T* const x = rows.x + n * rows.item_stride + first;
  const T* const weight = rows.weight + first * rows.padded;
  const T* const to_parameters = rows.at_hidden;
  const T* const to_inputs = rows.at_hidden + rows.padded;
  Vector sums[kBits] = {};
  for (int64_t h = 0; h < rows.hidden; h += S::kLanes) {
#pragma GCC unroll 4
    for (int j = 0; j < kBits; ++j) {
      const int64_t place = j * rows.padded + h;
      if constexpr (kInputs) sums[j] += load<Vector>(to_inputs + h) * load<Vector>(weight + place);
      if constexpr (kParameters) {
        T* const grad = rows.grad_weight_and_bias + first * rows.padded + place;
        store(grad, load<Vector>(grad) + load<Vector>(to_parameters + h) * x[j]);
      }
    }
  }
  if constexpr (kInputs) {
    for (int j = 0; j < kBits; ++j) rows.grad_x[n * rows.size + first + j] = sum_of_lanes<S>(sums[j]);
  }
}

template <class S, bool kInputs, bool kParameters>
void gradient_rows(const HiddenGradientRows<typename S::T> rows) {
  using T = typename S::T;
  using Vector = typename S::Vector;
  T* const bias = kParameters ? rows.grad_weight_and_bias + rows.size * rows.padded : nullptr;
  for (int64_t n = 0; n < rows.num_items; ++n) {
    const T* const own = rows.weight_out + rows.own[n] * rows.hidden;
    const T* const target = rows.weight_out + rows.target[n] * rows.hidden;
    for (int64_t h = 0; h < rows.hidden; h += S::kLanes) {
      const int64_t left = rows.hidden - h;
      const Vector slope = load_some<S>(rows.slope + n * rows.hidden + h, left);
      const Vector product = load_some<S>(rows.product + n * rows.hidden + h, left);
      if constexpr (kParameters) {
        const Vector grad = product * slope;
        store(rows.at_hidden + h, grad);
        store(bias + h, load<Vector>(bias + h) + grad);
      }
      if constexpr (kInputs) {
        const Vector change = load_some<S>(own + h, left) - load_some<S>(target + h, left);
        store(rows.at_hidden + rows.padded + h, (product + change) * slope);
      }
    }
    int first = 0;
    for (; first + 4 <= rows.size; first += 4) gradients_of_bits<S, 4, kInputs, kParameters>(rows, n, first);
    for (; first < rows.size; ++first) gradients_of_bits<S, 1, kInputs, kParameters>(rows, n, first);
  }
}

template <class S>
void gradients(const HiddenGradientRows<typename S::T>& rows) {
  if (rows.grad_weight_and_bias == nullptr) return gradient_rows<S, true, false>(rows);
  rows.grad_x == nullptr ? gradient_rows<S, false, true>(rows) : gradient_rows<S, true, true>(rows);
}

template <class S>
constexpr SurrogateKernels<typename S::T> surrogate_kernels() {
  return {hidden<S>, softmax<S>, gradients<S>};
}

}  // namespace
}  // namespace hashkernels
