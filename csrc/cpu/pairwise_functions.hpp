// The loss of a pair and the factor of its slope (PairFunction).
#pragma once

#include "pairwise_math.hpp"
#include "pairwise_vector.hpp"

namespace hashkernels {
namespace {

template <class S>
struct Loss {
  typename S::Vector value, slope;
};

template <class S>
struct Margin {
  static constexpr bool kOfDistances = false;
  using Vector = typename S::Vector;
  Vector positive, negative;

  explicit Margin(const PairParameters<typename S::T>& p)
      : positive(splat<Vector>(p.positive_margin)), negative(splat<Vector>(p.negative_margin)) {}

  Loss<S> operator()(Vector theta, typename S::Mask relevant) const {
    const Vector x = positive_part<Vector>(relevant ? positive - theta : theta - negative);
    return {x * x, x};
  }
};

template <class S>
struct Likelihood {
  static constexpr bool kOfDistances = false;
  using Vector = typename S::Vector;
  Vector scale;

  explicit Likelihood(const PairParameters<typename S::T>& p) : scale(splat<Vector>(p.scale)) {}

  // softplus(z) = max(0, z) + log(1 + e), e = exp(-|z|), log(1 + e) = 2 atanh(e / (2 + e)); its slope is the logistic
  // function, 1 / (1 + e) or e / (1 + e). One division serves both.
  Loss<S> operator()(Vector theta, typename S::Mask relevant) const {
    const Vector scaled = scale * theta;
    const Vector z = relevant ? -scaled : scaled;
    const Vector e = exp_of_negative<S>(z > 0 ? -z : z);
    const Vector y = 1 + e;
    const Vector reciprocal = 1 / (y * (1 + y));
    const Vector logistic = (1 + y) * reciprocal;
    return {positive_part(z) + twice_atanh<S>(e * y * reciprocal), z < 0 ? e * logistic : logistic};
  }
};

template <class S>
struct Cauchy {
  static constexpr bool kOfDistances = false;
  using Vector = typename S::Vector;
  Vector gamma, scale, positive_min, negative_min;

  explicit Cauchy(const PairParameters<typename S::T>& p)
      : gamma(splat<Vector>(p.gamma)),
        scale(splat<Vector>(p.scale)),
        positive_min(splat<Vector>(p.positive_min_distance)),
        negative_min(splat<Vector>(p.negative_min_distance)) {}

  Loss<S> operator()(Vector theta, typename S::Mask relevant) const {
    const Vector free = scale * (1 - theta);  // in this order: near theta = 1 the difference is exact
    const Vector least = relevant ? positive_min : negative_min;
    const Vector distance = free < least ? least : free;
    const Vector ratio = (relevant ? distance : gamma) / (relevant ? gamma : distance);
    const Vector reciprocal = 1 / (gamma + distance);
    const Vector slope = relevant ? reciprocal : reciprocal * ratio;
    return {log1p<S>(ratio), free < least ? Vector{} : slope};
  }
};

template <class S>
struct Contrastive {
  static constexpr bool kOfDistances = true;
  using Vector = typename S::Vector;
  Vector half_margin;

  explicit Contrastive(const PairParameters<typename S::T>& p) : half_margin(splat<Vector>(p.negative_margin)) {}

  // theta: -1/2 of the squared distance, or a little more than 0 by rounding.
  Loss<S> operator()(Vector theta, typename S::Mask relevant) const {
    const Vector x = relevant ? -theta : half_margin + theta;
    return {positive_part(x), x <= 0 ? Vector{} : splat<Vector>(typename S::T{1})};
  }
};

}  // namespace
}  // namespace hashkernels
