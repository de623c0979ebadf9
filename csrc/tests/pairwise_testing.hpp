// Random items and labels, and every pairwise loss as a double loop over pairs.
#pragma once

#include <algorithm>
#include <bitset>
#include <cmath>
#include <functional>
#include <limits>
#include <type_traits>

#include "hashkernels/pairwise.h"
#include "testing.hpp"

namespace hashkernels::testing {

// Items with values of about unit variance times `scale`, rows `bits + gap` values apart, NaN in between.
template <class T>
struct Items {
  Items(int64_t count, int64_t bits, unsigned seed, int64_t gap = 0, double scale = 1)
      : num_rows(count), stride(bits + gap), values(count * stride + 1, std::numeric_limits<T>::quiet_NaN()) {
    std::mt19937_64 random(seed);
    std::normal_distribution<double> normal(0, scale);
    for (int64_t i = 0; i < count; ++i) {
      for (int64_t b = 0; b < bits; ++b) values[i * stride + b] = static_cast<T>(normal(random));
    }
  }

  Embeddings<T> view() const { return {values.data(), num_rows, stride, left_out.empty() ? nullptr : left_out.data()}; }
  T* row(int64_t i) { return values.data() + i * stride; }
  const T* row(int64_t i) const { return values.data() + i * stride; }

  int64_t num_rows, stride;
  std::vector<T> values;
  std::vector<int64_t> left_out;  // of a bank: see Embeddings
};

// Labels of either kind; words == 0: class ids.
struct ItemLabels {
  static ItemLabels ids(int64_t count, int64_t num_classes, unsigned seed) {
    ItemLabels result{0, {}};
    std::mt19937_64 random(seed);
    // Far apart, negative ones too: an id is any int64.
    for (int64_t i = 0; i < count; ++i) {
      result.data.push_back((static_cast<int64_t>(random() % num_classes) - 1) * 0x123456789ABCDEF);
    }
    return result;
  }
  static ItemLabels multi_hot(int64_t count, int words, double density, unsigned seed) {
    ItemLabels result{words, std::vector<int64_t>(count * words)};
    std::mt19937_64 random(seed);
    std::bernoulli_distribution present(density);
    for (int64_t& word : result.data) {
      for (int bit = 0; bit < 64; ++bit) word |= static_cast<int64_t>(present(random)) << bit;
    }
    return result;
  }

  Labels view() const { return {data.data(), words}; }
  bool relevant(int64_t i, const ItemLabels& other, int64_t j) const {
    if (words == 0) return data[i] == other.data[j];
    for (int w = 0; w < words; ++w) {
      if ((data[i * words + w] & other.data[j * words + w]) != 0) return true;
    }
    return false;
  }

  // |common classes| / |classes of either|.
  double share(int64_t i, const ItemLabels& other, int64_t j) const {
    int common = 0, either = 0;
    for (int w = 0; w < words; ++w) {
      const auto own = std::bitset<64>(data[i * words + w]), others = std::bitset<64>(other.data[j * words + w]);
      common += static_cast<int>((own & others).count());
      either += static_cast<int>((own | others).count());
    }
    return static_cast<double>(common) / either;
  }

  int words;
  std::vector<int64_t> data;
};

struct Answer {
  PairwiseResult result{};
  std::vector<double> grad;
};

// A pair's loss as a function of its inner product, or of minus half its squared distance: value and derivative.
struct PairLoss {
  double value, slope;
};
using PairFormula = std::function<PairLoss(double theta, bool relevant)>;

inline PairFormula formula(const MarginLoss& loss) {
  return [loss](double theta, bool relevant) {
    const double x =
        relevant ? std::min(0.0, theta - loss.positive_margin) : std::max(0.0, theta - loss.negative_margin);
    return PairLoss{x * x, 2 * x};
  };
}

inline PairFormula formula(const LikelihoodLoss& loss) {
  return [loss](double theta, bool relevant) {
    const double z = loss.scale * theta;
    return PairLoss{std::max(z, 0.0) + std::log1p(std::exp(-std::abs(z))) - relevant * z,
                    loss.scale * (1 / (1 + std::exp(-z)) - relevant)};
  };
}

inline PairFormula formula(const CauchyLoss& loss) {
  return [loss](double theta, bool relevant) {
    const double least = relevant ? loss.positive_min_distance : loss.negative_min_distance;
    const double free = loss.distance_scale * (1 - theta), d = std::max(free, least);
    const double slope = (relevant ? 1 : -loss.gamma / d) / (loss.gamma + d);
    return PairLoss{relevant ? std::log1p(d / loss.gamma) : std::log1p(loss.gamma / d),
                    free < least ? 0 : -loss.distance_scale * slope};
  };
}

inline PairFormula formula(const ContrastiveLoss& loss) {
  return [loss](double theta, bool relevant) {
    const double twice = relevant ? -2 * theta : std::max(0.0, loss.margin + 2 * theta);
    return PairLoss{twice / 2, relevant ? -1.0 : twice > 0};
  };
}

inline PairMean mean_of(const MarginLoss&) { return PairMean::kEachKind; }
inline PairMean mean_of(const LikelihoodLoss& loss) { return loss.mean; }
inline PairMean mean_of(const CauchyLoss& loss) { return loss.mean; }
inline PairMean mean_of(const ContrastiveLoss& loss) { return loss.mean; }

template <class Loss>
bool weighs_shares(const Loss& loss, const ItemLabels& labels) {
  if constexpr (std::is_same_v<Loss, LikelihoodLoss>) return loss.overlap && labels.words > 0;
  return false;
}

// The double loop.
template <class T, class Loss>
Answer double_loop(const Items<T>& u, const Items<T>* v, int64_t bits, const ItemLabels& u_labels,
                   const ItemLabels& v_labels, const Loss& loss) {
  const PairFormula pair = formula(loss);
  constexpr bool kOfDistances = std::is_same_v<Loss, ContrastiveLoss>;
  const Items<T>& other = v == nullptr ? u : *v;
  const ItemLabels& other_labels = v == nullptr ? u_labels : v_labels;
  Answer answer;
  const auto each_pair = [&](auto&& body) {
    for (int64_t i = 0; i < u.num_rows; ++i) {
      for (int64_t j = 0; j < other.num_rows; ++j) {
        const bool counts = v == nullptr ? i != j : v->left_out.empty() || v->left_out[i] != j;
        if (counts) body(i, j, u_labels.relevant(i, other_labels, j));
      }
    }
  };
  PairwiseResult& result = answer.result;
  each_pair([&](int64_t, int64_t, bool relevant) { ++(relevant ? result.positive_pairs : result.negative_pairs); });
  const double weighted_pairs =
      loss.positive_scale * result.positive_pairs + loss.negative_scale * result.negative_pairs;
  answer.grad.assign(u.num_rows * bits, 0.0);
  each_pair([&](int64_t i, int64_t j, bool relevant) {
    double theta = 0;
    for (int64_t b = 0; b < bits; ++b) {
      const double x = u.row(i)[b], y = other.row(j)[b];
      theta += kOfDistances ? -(x - y) * (x - y) / 2 : x * y;
    }
    const double scale = relevant ? loss.positive_scale : loss.negative_scale;
    const double pairs = relevant ? result.positive_pairs : result.negative_pairs;
    double weight = scale == 0 ? 0 : scale / (mean_of(loss) == PairMean::kWeighted ? weighted_pairs : pairs);
    if (relevant && weighs_shares(loss, u_labels)) weight *= u_labels.share(i, other_labels, j);
    const PairLoss value = pair(theta, relevant);
    (relevant ? result.positive_term : result.negative_term) += weight * value.value;
    for (int64_t b = 0; b < bits; ++b) {
      const double x = u.row(i)[b], y = other.row(j)[b];
      answer.grad[i * bits + b] += weight * value.slope * (kOfDistances ? y - x : y);
      if (v == nullptr) answer.grad[j * bits + b] += weight * value.slope * (kOfDistances ? x - y : x);
    }
  });
  return answer;
}

template <class T, class Loss>
Status compute(const Embeddings<T>& u, const Embeddings<T>& v, int64_t bits, Labels u_labels, Labels v_labels,
               const Loss& loss, PairwiseResult* result, T* grad, int threads) {
  if constexpr (std::is_same_v<Loss, MarginLoss>) {
    return margin_loss(u, v, bits, u_labels, v_labels, loss, result, grad, threads);
  } else if constexpr (std::is_same_v<Loss, LikelihoodLoss>) {
    return likelihood_loss(u, v, bits, u_labels, v_labels, loss, result, grad, threads);
  } else if constexpr (std::is_same_v<Loss, ContrastiveLoss>) {
    return contrastive_loss(u, v, bits, u_labels, v_labels, loss, result, grad, threads);
  } else {
    return cauchy_loss(u, v, bits, u_labels, v_labels, loss, result, grad, threads);
  }
}

// v == nullptr: the batch against itself.
template <class T, class Loss>
Answer run(const Items<T>& u, const Items<T>* v, int64_t bits, const ItemLabels& u_labels, const ItemLabels& v_labels,
           const Loss& loss, int threads) {
  Answer answer;
  std::vector<T> grad(u.num_rows * bits, std::numeric_limits<T>::quiet_NaN());
  const Embeddings<T> other = v == nullptr ? Embeddings<T>{nullptr, 0, 0} : v->view();
  EXPECT_EQ(
      compute(u.view(), other, bits, u_labels.view(), v_labels.view(), loss, &answer.result, grad.data(), threads),
      Status::kOk);
  answer.grad.assign(grad.begin(), grad.end());
  return answer;
}

inline void expect_close(const Answer& got, const Answer& expected, double tolerance) {
  EXPECT_EQ(got.result.positive_pairs, expected.result.positive_pairs);
  EXPECT_EQ(got.result.negative_pairs, expected.result.negative_pairs);
  EXPECT_NEAR(got.result.positive_term, expected.result.positive_term, tolerance * expected.result.positive_term);
  EXPECT_NEAR(got.result.negative_term, expected.result.negative_term, tolerance * expected.result.negative_term);
  double largest = 0;
  for (double value : expected.grad) largest = std::max(largest, std::abs(value));
  ASSERT_EQ(got.grad.size(), expected.grad.size());
  for (size_t i = 0; i < got.grad.size(); ++i) ASSERT_NEAR(got.grad[i], expected.grad[i], tolerance * largest) << i;
}

template <class T>
inline constexpr double kTolerance = sizeof(T) == 4 ? 1e-5 : 1e-13;

}  // namespace hashkernels::testing
