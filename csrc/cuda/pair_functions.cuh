// What a pair costs, and the derivative by theta, for each pairwise loss (hashkernels/pairwise.h); theta is the inner
// product of the two, or -1/2 of their squared distance. Comparisons are written so that a NaN comes through. Quotients
// are within two units in the last place: the correctly rounded ones call a function.
#pragma once

#include <cuda_runtime.h>

#include <cmath>

#include "hashkernels/pairwise.h"

namespace hashkernels::cuda {

struct PairValue {
  float loss, slope;
};

// What a function is of, unless it says otherwise.
struct OfProducts {
  static constexpr bool kOfDistances = false;  // theta is that of distances
  static constexpr bool kOfShares = false;     // relevant pairs count by the share of their classes that both have
};

// kBlocks: blocks of the float32 pass that have the registers they want on one multiprocessor.
struct MarginFunction : OfProducts {
  static constexpr int kBlocks = 2;

  explicit MarginFunction(const MarginLoss& loss)
      : positive_margin(static_cast<float>(loss.positive_margin)),
        negative_margin(static_cast<float>(loss.negative_margin)) {}

  __device__ __forceinline__ PairValue operator()(float theta, bool relevant) const {
    const float x = theta - (relevant ? positive_margin : negative_margin);
    const float error = (relevant ? x >= 0 : x <= 0) ? 0.0f : x;
    return {error * error, 2 * error};
  }

  float positive_margin, negative_margin;
};

// softplus(y) = log(1 + e^y), and its derivative.
__device__ __forceinline__ PairValue softplus(float y) {
  const float e = expf(-fabsf(y));
  return {(y <= 0 ? 0.0f : y) + log1pf(e), __fdividef(y < 0 ? e : 1.0f, 1 + e)};
}

struct LikelihoodFunction : OfProducts {
  static constexpr int kBlocks = 1;

  explicit LikelihoodFunction(const LikelihoodLoss& loss) : scale(static_cast<float>(loss.scale)) {}

  // softplus(y) with y = -scale * theta for relevant pairs, scale * theta for the others.
  __device__ __forceinline__ PairValue operator()(float theta, bool relevant) const {
    const float signed_scale = relevant ? -scale : scale;
    const PairValue value = softplus(signed_scale * theta);
    return {value.loss, signed_scale * value.slope};
  }

  float scale;
};

// With LikelihoodLoss::overlap, of packed classes.
struct OverlapFunction : LikelihoodFunction {
  static constexpr bool kOfShares = true;

  using LikelihoodFunction::LikelihoodFunction;
};

struct CauchyFunction : OfProducts {
  static constexpr int kBlocks = 1;

  explicit CauchyFunction(const CauchyLoss& loss)
      : gamma(static_cast<float>(loss.gamma)),
        distance_scale(static_cast<float>(loss.distance_scale)),
        positive_min(static_cast<float>(loss.positive_min_distance)),
        negative_min(static_cast<float>(loss.negative_min_distance)) {}

  __device__ __forceinline__ PairValue operator()(float theta, bool relevant) const {
    const float free = distance_scale * (1 - theta);
    const float least = relevant ? positive_min : negative_min;
    const bool is_near = free < least;
    const float distance = is_near ? least : free;
    const float ratio = __fdividef(relevant ? distance : gamma, relevant ? gamma : distance);
    const float slope = __fdividef(relevant ? 1.0f : -ratio, gamma + distance);
    return {log1pf(ratio), is_near ? 0.0f : -distance_scale * slope};
  }

  float gamma, distance_scale, positive_min, negative_min;
};

struct ContrastiveFunction : OfProducts {
  static constexpr int kBlocks = 1;
  static constexpr bool kOfDistances = true;

  explicit ContrastiveFunction(const ContrastiveLoss& loss) : half_margin(static_cast<float>(loss.margin / 2)) {}

  // theta may be a little more than 0 by rounding.
  __device__ __forceinline__ PairValue operator()(float theta, bool relevant) const {
    const float x = relevant ? -theta : half_margin + theta;
    const float slope = relevant ? -1.0f : 1.0f;
    return {x <= 0 ? 0.0f : x, x <= 0 ? 0.0f : x > 0 ? slope : x};
  }

  float half_margin;
};

}  // namespace hashkernels::cuda
