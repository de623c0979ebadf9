// The parameters of each pairwise loss in the order in which Python gives them, on every device.
#pragma once

#include "hashkernels/pairwise.h"

namespace hashkernels::bindings {

inline PairMean mean_of(bool weighted) { return weighted ? PairMean::kWeighted : PairMean::kEachKind; }

inline MarginLoss make_margin_loss(double positive_margin, double negative_margin, double positive_scale,
                                   double negative_scale) {
  return {positive_margin, negative_margin, positive_scale, negative_scale};
}

inline LikelihoodLoss make_likelihood_loss(double scale, double positive_scale, double negative_scale, bool weighted,
                                           bool overlap) {
  return {scale, positive_scale, negative_scale, mean_of(weighted), overlap};
}

inline CauchyLoss make_cauchy_loss(double gamma, double distance_scale, double positive_min_distance,
                                   double negative_min_distance, double positive_scale, double negative_scale,
                                   bool weighted) {
  return {gamma,          distance_scale, positive_min_distance, negative_min_distance,
          positive_scale, negative_scale, mean_of(weighted)};
}

inline ContrastiveLoss make_contrastive_loss(double margin, double positive_scale, double negative_scale,
                                             bool weighted) {
  return {margin, positive_scale, negative_scale, mean_of(weighted)};
}

}  // namespace hashkernels::bindings
