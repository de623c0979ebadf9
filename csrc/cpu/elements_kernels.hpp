// What losses of single values ask of an instruction set: one term over a run of values.
#pragma once

#include <cstdint>

#include "hashkernels/elements.h"

namespace hashkernels {

template <class T>
struct ElementRun {
  const T* u;
  const int8_t* targets;  // null where the function has none
  int64_t count;
  T parameter, weight;
  T* grad;  // weight times the derivatives are added to it; null: not wanted
};

// Returns the sum of the function, without its weight.
template <class T>
using ElementKernel = double (*)(const ElementRun<T>& run);

// In the order of ElementFunction.
template <class T>
struct ElementKernels {
  ElementKernel<T> of[kElementFunctions];
};

extern const ElementKernels<float> kElementsF32Scalar, kElementsF32Avx2, kElementsF32Avx512, kElementsF32Neon;
extern const ElementKernels<double> kElementsF64Scalar, kElementsF64Avx2, kElementsF64Avx512, kElementsF64Neon;

}  // namespace hashkernels
