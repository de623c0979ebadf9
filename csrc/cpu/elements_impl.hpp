// Vectors of values. The powers of e that the smooth functions need are powers of a number below 1, so nothing
// overflows, and 1 - |tanh| keeps its digits where it is small.
#pragma once

#include "elements_kernels.hpp"
#include "pairwise_functions.hpp"

namespace hashkernels {
namespace {

template <class Vector>
inline Vector with_sign_of(Vector size, Vector sign) {
  return sign > 0 ? size : sign < 0 ? -size : Vector{};
}

template <class Vector>
inline Vector magnitude(Vector x) {
  return x < 0 ? -x : x;
}

template <class S>
struct Hinge {
  static constexpr bool kHasTargets = true;
  using Vector = typename S::Vector;

  static Loss<S> of(Vector u, Vector target, Vector margin) {
    const Vector slack = margin - target * u;
    const Vector has_target = target * target;
    return {positive_part(slack) * has_target, slack >= 0 ? -target : Vector{}};
  }
};

template <class S>
struct Logistic {
  static constexpr bool kHasTargets = true;
  using Vector = typename S::Vector;

  static Loss<S> of(Vector u, Vector target, Vector scale) {
    const Vector z = -scale * target * u;
    const Vector e = exp_of_negative<S>(z > 0 ? -z : z);
    const Vector reciprocal = 1 / (1 + e);
    const Vector value = positive_part(z) + twice_atanh<S>(e / (2 + e));
    const Vector logistic = z < 0 ? e * reciprocal : reciprocal;
    return {value * (target * target), -scale * target * logistic};
  }
};

// |tanh(x / 2)| = (1 - e) / (1 + e), e = exp(-|x|).
template <class S>
struct TanhError {
  static constexpr bool kHasTargets = false;
  using Vector = typename S::Vector;

  static Loss<S> of(Vector u, Vector, Vector scale) {
    const Vector e = exp_of_negative<S>(-magnitude(scale * u));
    const Vector reciprocal = 1 / (1 + e);
    const Vector error = 2 * e * reciprocal;
    return {error * error, with_sign_of(-2 * scale * error * error * reciprocal, u)};
  }
};

template <class S>
struct LogCosh {
  static constexpr bool kHasTargets = false;
  using Vector = typename S::Vector;

  static Loss<S> of(Vector u, Vector, Vector) {
    constexpr typename S::T kLn2 = 0.693147180559945309417;
    const Vector x = magnitude(u) - 1, size = magnitude(x);
    const Vector e = exp_of_negative<S>(-2 * size);
    const Vector tanh = (1 - e) / (1 + e);
    return {size + twice_atanh<S>(e / (2 + e)) - kLn2, with_sign_of(with_sign_of(tanh, x), u)};
  }
};

template <class S>
struct Absolute {
  static constexpr bool kHasTargets = false;
  using Vector = typename S::Vector;

  static Loss<S> of(Vector u, Vector, Vector) {
    const Vector x = magnitude(u) - 1;
    return {magnitude(x), with_sign_of(with_sign_of(Vector{} + 1, x), u)};
  }
};

template <class S, class Function>
double sum_of_elements(const ElementRun<typename S::T>& given) {
  using T = typename S::T;
  using Vector = typename S::Vector;
  const ElementRun<T> run = given;  // a copy, which no store can change
  const Vector parameter = splat<Vector>(run.parameter);
  Vector sum{};
  for (int64_t i = 0; i < run.count; i += S::kLanes) {
    const int64_t left = run.count - i;
    const int lanes = left < S::kLanes ? static_cast<int>(left) : S::kLanes;
    Vector u{}, target{};
    if (lanes == S::kLanes) {
      u = load<Vector>(run.u + i);
      if constexpr (Function::kHasTargets) {
        for (int lane = 0; lane < S::kLanes; ++lane) target[lane] = run.targets[i + lane];
      }
    } else {
      for (int lane = 0; lane < lanes; ++lane) {
        u[lane] = run.u[i + lane];
        if constexpr (Function::kHasTargets) target[lane] = run.targets[i + lane];
      }
    }
    const Loss<S> loss = Function::of(u, target, parameter);
    if (lanes == S::kLanes) {
      sum += loss.value;
      if (run.grad != nullptr) store(run.grad + i, load<Vector>(run.grad + i) + run.weight * loss.slope);
    } else {
      for (int lane = 0; lane < lanes; ++lane) {
        sum[lane] += loss.value[lane];
        if (run.grad != nullptr) run.grad[i + lane] += run.weight * loss.slope[lane];
      }
    }
  }
  double total = 0;
  for (int lane = 0; lane < S::kLanes; ++lane) total += sum[lane];
  return total;
}

template <class S>
constexpr ElementKernels<typename S::T> element_kernels() {
  return {{sum_of_elements<S, Hinge<S>>, sum_of_elements<S, Logistic<S>>, sum_of_elements<S, TanhError<S>>,
           sum_of_elements<S, LogCosh<S>>, sum_of_elements<S, Absolute<S>>}};
}

}  // namespace
}  // namespace hashkernels
