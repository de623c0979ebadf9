// What a pair of inner product theta costs, and the derivative by theta, for each pairwise loss
// (hashkernels/pairwise.h). Comparisons are written so that a NaN comes through. Quotients are within two units in the
// last place: the correctly rounded ones call a function.
#pragma once

#include <cuda_runtime.h>

#include <cmath>

#include "hashkernels/pairwise.h"

namespace hashkernels::cuda {

struct PairValue {
  float loss, slope;
};

// kBlocks: blocks of the float32 pass that have the registers they want on one multiprocessor.
struct MarginFunction {
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

struct LikelihoodFunction {
  static constexpr int kBlocks = 1;

  explicit LikelihoodFunction(const LikelihoodLoss& loss) : scale(static_cast<float>(loss.scale)) {}

  // softplus(y) with y = -scale * theta for relevant pairs, scale * theta for the others.
  __device__ __forceinline__ PairValue operator()(float theta, bool relevant) const {
    const float signed_scale = relevant ? -scale : scale;
    const float y = signed_scale * theta;
    const float e = expf(-fabsf(y));
    const float sigmoid = __fdividef(y < 0 ? e : 1.0f, 1 + e);
    return {(y <= 0 ? 0.0f : y) + log1pf(e), signed_scale * sigmoid};
  }

  float scale;
};

struct CauchyFunction {
  static constexpr int kBlocks = 1;

  explicit CauchyFunction(const CauchyLoss& loss)
      : gamma(static_cast<float>(loss.gamma)),
        distance_scale(static_cast<float>(loss.distance_scale)),
        min_distance(static_cast<float>(loss.min_distance)) {}

  __device__ __forceinline__ PairValue operator()(float theta, bool relevant) const {
    const float free = distance_scale * (1 - theta);
    const bool is_near = free < min_distance;
    const float distance = is_near ? min_distance : free;
    const float ratio = __fdividef(relevant ? distance : gamma, relevant ? gamma : distance);
    const float slope = __fdividef(relevant ? 1.0f : -ratio, gamma + distance);
    return {log1pf(ratio), is_near ? 0.0f : -distance_scale * slope};
  }

  float gamma, distance_scale, min_distance;
};

}  // namespace hashkernels::cuda
