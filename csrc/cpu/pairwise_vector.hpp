// Vectors of T for the pairwise kernels, by the compiler's vector extension: one source serves every instruction set.
//
// Everything lives in an anonymous namespace: each file that includes this has its own copy, compiled with its own
// flags.
#pragma once

#include <cstdint>

#include "pairwise_kernels.hpp"

namespace hashkernels {
namespace {

// Vectors of kBytes bytes, and the register block of the matrix product: kRows x kVectors accumulators beside
// kVectors loaded vectors and a broadcast must fit the registers of the instruction set.
template <class Value, int kBytes, int kRegisterRows, int kRegisterVectors>
struct Shape {
  using T = Value;
  using Int = typename PairLane<T>::Int;
  typedef T Vector __attribute__((vector_size(kBytes)));
  typedef Int Mask __attribute__((vector_size(kBytes)));  // all ones or zero in each lane
  typedef typename PairLane<T>::Bits Bits __attribute__((vector_size(kBytes)));

  static constexpr int kLanes = kBytes / static_cast<int>(sizeof(T));
  static constexpr int kRows = kRegisterRows;
  static constexpr int kVectors = kRegisterVectors;
};

template <class Vector, class T>
inline Vector load(const T* values) {
  Vector result;
  __builtin_memcpy(&result, values, sizeof(Vector));
  return result;
}

template <class Vector, class T>
inline void store(T* values, Vector vector) {
  __builtin_memcpy(values, &vector, sizeof(Vector));
}

template <class Vector, class T>
inline Vector splat(T value) {
  return value - Vector{};  // minus, because 0 + -0 is not -0
}

template <class To, class From>
inline To bits_as(From vector) {
  static_assert(sizeof(To) == sizeof(From));
  To result;
  __builtin_memcpy(&result, &vector, sizeof(To));
  return result;
}

// max(0, x), and NaN where x is NaN.
template <class Vector>
inline Vector positive_part(Vector x) {
  return Vector{} > x ? Vector{} : x;
}

template <class S>
inline typename S::T sum_of_lanes(typename S::Vector vector) {
  typename S::T total = 0;
  for (int lane = 0; lane < S::kLanes; ++lane) total += vector[lane];
  return total;
}

}  // namespace
}  // namespace hashkernels
