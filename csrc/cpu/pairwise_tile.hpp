// A tile of pairs: inner products, the loss and its slope, gradients.
#pragma once

#include "pairwise_distances.hpp"
#include "pairwise_functions.hpp"
#include "pairwise_product.hpp"
#include "pairwise_relevance.hpp"
#include "pairwise_vector.hpp"

namespace hashkernels {
namespace {

template <class S>
inline double sum_lanes(const typename S::Vector (&vectors)[S::kVectors]) {
  typename S::Vector sum = vectors[0];
  for (int v = 1; v < S::kVectors; ++v) sum += vectors[v];
  double total = 0;
  for (int lane = 0; lane < S::kLanes; ++lane) total += sum[lane];
  return total;
}

// Turns inner products into slopes, in place, and adds up the losses. kMasked: some lanes are no pair.
template <class S, class Relevance, bool kMasked, class Function>
void apply(const PairwiseTile<typename S::T>& tile, const PairParameters<typename S::T>& parameters,
           typename S::T* theta, double* sums) {
  using Vector = typename S::Vector;
  using Mask = typename S::Mask;
  constexpr int kVectors = S::kVectors;
  const Function function(parameters);
  const Vector positive_slope = splat<Vector>(parameters.positive_slope);
  const Vector negative_slope = splat<Vector>(parameters.negative_slope);
  Mask lane{};
  for (int i = 0; i < S::kLanes; ++i) lane[i] = i;
  for (int first = 0; first < tile.num_rows; first += kVectors * S::kLanes) {
    const Relevance relevance(tile, first);
    Vector positive[kVectors] = {}, negative[kVectors] = {};
    for (int column = 0; column < tile.num_columns; ++column) {
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        const int row = first + v * S::kLanes;
        const Mask relevant = relevance(v, column);
        typename S::T* place = theta + column * kPairTile + row;
        Loss<S> loss = function(load<Vector>(place), relevant);
        if constexpr (Relevance::kWeighs) {
          const Vector weight = relevant ? relevance.weight(v, column) : splat<Vector>(typename S::T{1});
          loss.value *= weight;
          loss.slope *= weight;
        }
        if constexpr (kMasked) {
          Mask counts = lane < tile.num_rows - row;
          if (tile.left_out != nullptr) counts &= load<Mask>(tile.left_out + row) != column;
          loss.value = counts ? loss.value : Vector{};
          loss.slope = counts ? loss.slope : Vector{};
        }
        positive[v] += relevant ? loss.value : Vector{};
        negative[v] += relevant ? Vector{} : loss.value;
        store(place, (relevant ? positive_slope : negative_slope) * loss.slope);
      }
    }
    sums[0] += sum_lanes<S>(positive);
    sums[1] += sum_lanes<S>(negative);
  }
}

template <class S, class Function, class MultiHot = CommonClass<S>>
void evaluate(const PairwiseTile<typename S::T>& tile, const PairParameters<typename S::T>& parameters, double* sums) {
  alignas(kPairLineBytes) typename S::T theta[kPairTile * kPairTile];
  inner_products<S>(tile, theta);
  if constexpr (Function::kOfDistances) to_distances<S>(tile, theta);
  const bool masked = tile.left_out != nullptr || tile.num_rows < kPairTile;
  if (tile.multi_hot) {
    masked ? apply<S, MultiHot, true, Function>(tile, parameters, theta, sums)
           : apply<S, MultiHot, false, Function>(tile, parameters, theta, sums);
  } else {
    masked ? apply<S, SameClass<S>, true, Function>(tile, parameters, theta, sums)
           : apply<S, SameClass<S>, false, Function>(tile, parameters, theta, sums);
  }
  add_gradients<S>(tile, theta);
  if constexpr (Function::kOfDistances) add_gradients_of_lengths<S>(tile, theta);
}

// Relevant pairs; the driver counts equal ids by itself.
template <class S>
void count_relevant(const PairwiseTile<typename S::T>& tile, double* sums) {
  using Mask = typename S::Mask;
  int64_t count = 0;
  for (int first = 0; first < tile.num_rows; first += S::kVectors * S::kLanes) {
    const CommonClass<S> relevance(tile, first);
    Mask relevant[S::kVectors] = {};
    for (int column = 0; column < tile.num_columns; ++column) {
#pragma GCC unroll 8
      for (int v = 0; v < S::kVectors; ++v) relevant[v] += relevance(v, column);
    }
    // Rows past the end have no classes.
    for (int v = 0; v < S::kVectors; ++v) {
      for (int lane = 0; lane < S::kLanes; ++lane) count -= relevant[v][lane];
    }
  }
  for (int row = 0; tile.left_out != nullptr && row < tile.num_rows; ++row) {
    const auto column = tile.left_out[row];
    if (column < 0 || column >= tile.num_columns) continue;
    bool relevant = false;
    for (int plane = 0; plane < tile.num_planes; ++plane) {
      relevant |= (tile.row_labels[plane * kPairTile + row] & tile.column_labels[plane * kPairTile + column]) != 0;
    }
    count -= relevant;
  }
  sums[0] += static_cast<double>(count);
}

template <class S>
void pairwise_tile(const PairwiseTile<typename S::T>& tile, const PairParameters<typename S::T>& parameters,
                   double* sums) {
  switch (parameters.function) {
    case PairFunction::kRelevance:
      return count_relevant<S>(tile, sums);
    case PairFunction::kMargin:
      return evaluate<S, Margin<S>>(tile, parameters, sums);
    case PairFunction::kLikelihood:
      return parameters.overlap ? evaluate<S, Likelihood<S>, ClassShare<S>>(tile, parameters, sums)
                                : evaluate<S, Likelihood<S>>(tile, parameters, sums);
    case PairFunction::kCauchy:
      return evaluate<S, Cauchy<S>>(tile, parameters, sums);
    case PairFunction::kContrastive:
      return evaluate<S, Contrastive<S>>(tile, parameters, sums);
  }
}

}  // namespace
}  // namespace hashkernels
