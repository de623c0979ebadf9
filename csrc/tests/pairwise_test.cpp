#include "hashkernels/pairwise.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "testing.hpp"

namespace hashkernels {
namespace {

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

  Embeddings<T> view() const { return {values.data(), num_rows, stride}; }
  T* row(int64_t i) { return values.data() + i * stride; }
  const T* row(int64_t i) const { return values.data() + i * stride; }

  int64_t num_rows, stride;
  std::vector<T> values;
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

  int words;
  std::vector<int64_t> data;
};

struct Answer {
  PairwiseResult result{};
  std::vector<double> grad;
};

// A pair's loss as a function of theta: value and derivative.
struct PairLoss {
  double value, slope;
};
using PairFormula = std::function<PairLoss(double theta, bool relevant)>;

// The double loop. Each kind's mean, scaled.
template <class T>
Answer double_loop(const Items<T>& u, const Items<T>* v, int64_t bits, const ItemLabels& u_labels,
                   const ItemLabels& v_labels, double positive_scale, double negative_scale, const PairFormula& pair) {
  const Items<T>& other = v == nullptr ? u : *v;
  const ItemLabels& other_labels = v == nullptr ? u_labels : v_labels;
  Answer answer;
  const auto each_pair = [&](auto&& body) {
    for (int64_t i = 0; i < u.num_rows; ++i) {
      for (int64_t j = 0; j < other.num_rows; ++j) {
        if (v != nullptr || i != j) body(i, j, u_labels.relevant(i, other_labels, j));
      }
    }
  };
  PairwiseResult& result = answer.result;
  each_pair([&](int64_t, int64_t, bool relevant) { ++(relevant ? result.positive_pairs : result.negative_pairs); });
  answer.grad.assign(u.num_rows * bits, 0.0);
  each_pair([&](int64_t i, int64_t j, bool relevant) {
    double theta = 0;
    for (int64_t b = 0; b < bits; ++b) theta += static_cast<double>(u.row(i)[b]) * other.row(j)[b];
    const double weight = relevant ? positive_scale / result.positive_pairs : negative_scale / result.negative_pairs;
    const PairLoss loss = pair(theta, relevant);
    (relevant ? result.positive_term : result.negative_term) += weight * loss.value;
    for (int64_t b = 0; b < bits; ++b) {
      answer.grad[i * bits + b] += weight * loss.slope * other.row(j)[b];
      if (v == nullptr) answer.grad[j * bits + b] += weight * loss.slope * u.row(i)[b];
    }
  });
  return answer;
}

PairFormula formula(const MarginLoss& loss) {
  return [loss](double theta, bool relevant) {
    const double x =
        relevant ? std::min(0.0, theta - loss.positive_margin) : std::max(0.0, theta - loss.negative_margin);
    return PairLoss{x * x, 2 * x};
  };
}

template <class T>
Answer run(const Items<T>& u, const Items<T>* v, int64_t bits, const ItemLabels& u_labels, const ItemLabels& v_labels,
           const MarginLoss& loss, int threads) {
  Answer answer;
  std::vector<T> grad(u.num_rows * bits, std::numeric_limits<T>::quiet_NaN());
  const Embeddings<T> other = v == nullptr ? Embeddings<T>{nullptr, 0, 0} : v->view();
  EXPECT_EQ(
      margin_loss(u.view(), other, bits, u_labels.view(), v_labels.view(), loss, &answer.result, grad.data(), threads),
      Status::kOk);
  answer.grad.assign(grad.begin(), grad.end());
  return answer;
}

void expect_close(const Answer& got, const Answer& expected, double tolerance) {
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
constexpr double kTolerance = sizeof(T) == 4 ? 1e-5 : 1e-13;

MarginLoss ecm(int64_t bits) { return {0.8 * bits, -0.3 * bits, 1.0 / bits, 0.5 / bits}; }

template <class T>
void check_against_double_loop(int64_t num_rows, int64_t num_columns, int64_t bits, const ItemLabels& u_labels,
                               const ItemLabels& v_labels) {
  const Items<T> u(num_rows, bits, 1, bits % 3), v(num_columns, bits, 2, 1);
  const Items<T>* bank = num_columns == 0 ? nullptr : &v;
  const MarginLoss loss = ecm(bits);
  const Answer expected =
      double_loop(u, bank, bits, u_labels, v_labels, loss.positive_scale, loss.negative_scale, formula(loss));
  expect_close(run(u, bank, bits, u_labels, v_labels, loss, 1), expected, kTolerance<T>);
}

class Pairwise : public testing::ForEachIsa {};

TEST_P(Pairwise, BatchAgainstItself) {
  for (int64_t n : {1, 2, 3, 17, 63, 64, 65, 129, 200}) {
    for (int64_t bits : {1, 7, 16, 48, 63, 64, 65, 130}) {
      SCOPED_TRACE(::testing::Message() << n << " items, " << bits << " bits");
      check_against_double_loop<float>(n, 0, bits, ItemLabels::ids(n, 4, 3), ItemLabels::ids(0, 1, 0));
      check_against_double_loop<double>(n, 0, bits, ItemLabels::multi_hot(n, 2, 0.02, 3), ItemLabels::ids(0, 1, 0));
    }
  }
}

TEST_P(Pairwise, BatchAgainstBank) {
  for (int64_t n : {1, 5, 64, 70}) {
    for (int64_t m : {1, 63, 130, 1000}) {
      for (int64_t bits : {1, 7, 63, 64, 65}) {
        SCOPED_TRACE(::testing::Message() << n << " x " << m << " items, " << bits << " bits");
        check_against_double_loop<float>(n, m, bits, ItemLabels::multi_hot(n, 1, 0.03, 3),
                                         ItemLabels::multi_hot(m, 1, 0.03, 4));
        check_against_double_loop<double>(n, m, bits, ItemLabels::ids(n, 3, 3), ItemLabels::ids(m, 5, 4));
      }
    }
  }
}

TEST_P(Pairwise, LongCodes) {
  for (int64_t bits : {1000, 4096}) {
    check_against_double_loop<float>(70, 0, bits, ItemLabels::ids(70, 4, 3), ItemLabels::ids(0, 1, 0));
    check_against_double_loop<double>(33, 66, bits, ItemLabels::ids(33, 4, 3), ItemLabels::ids(66, 4, 4));
  }
}

TEST_P(Pairwise, ManyRowsOfABankRunInGroups) {
  check_against_double_loop<float>(600, 300, 9, ItemLabels::ids(600, 4, 3), ItemLabels::ids(300, 4, 4));
}

TEST_P(Pairwise, NoPositiveOrNoNegativePairs) {
  ItemLabels distinct = ItemLabels::ids(80, 1, 0);
  for (int64_t i = 0; i < 80; ++i) distinct.data[i] = i;
  const ItemLabels one_class = ItemLabels::ids(80, 1, 0), none{3, std::vector<int64_t>(240)};
  const Items<float> u(80, 20, 1);
  for (const ItemLabels* labels : std::initializer_list<const ItemLabels*>{&distinct, &one_class, &none}) {
    const Answer answer = run<float>(u, nullptr, 20, *labels, *labels, ecm(20), 1);
    const bool all = labels == &one_class;
    EXPECT_EQ(answer.result.positive_pairs, all ? 80 * 79 : 0);
    EXPECT_EQ(answer.result.negative_pairs, all ? 0 : 80 * 79);
    EXPECT_EQ(answer.result.positive_term > 0, all);
    EXPECT_EQ(answer.result.negative_term > 0, !all);
    check_against_double_loop<float>(80, 0, 20, *labels, *labels);
  }
}

TEST_P(Pairwise, AnEmptyBankOrBatchHasNoPairs) {
  const Items<double> u(5, 8, 1), empty(0, 8, 1);
  const ItemLabels labels = ItemLabels::ids(5, 2, 1), none = ItemLabels::ids(0, 1, 1);
  for (const Answer& answer :
       {run<double>(u, &empty, 8, labels, none, ecm(8), 2), run<double>(empty, &u, 8, none, labels, ecm(8), 2),
        run<double>(empty, nullptr, 8, none, none, ecm(8), 2)}) {
    EXPECT_EQ(answer.result.positive_pairs + answer.result.negative_pairs, 0);
    EXPECT_EQ(answer.result.positive_term + answer.result.negative_term, 0);
    for (double value : answer.grad) EXPECT_EQ(value, 0);
  }
}

TEST_P(Pairwise, TermsAreTheSameWithoutGradient) {
  const Items<float> u(150, 12, 1);
  const ItemLabels labels = ItemLabels::ids(150, 4, 3);
  const PairwiseResult with = run<float>(u, nullptr, 12, labels, labels, ecm(12), 1).result;
  PairwiseResult without{};
  ASSERT_EQ(
      margin_loss<float>(u.view(), {nullptr, 0, 0}, 12, labels.view(), labels.view(), ecm(12), &without, nullptr, 1),
      Status::kOk);
  EXPECT_EQ(without.positive_term, with.positive_term);
  EXPECT_EQ(without.negative_term, with.negative_term);
}

TEST_P(Pairwise, GradientIsThatOfFiniteDifferences) {
  constexpr int64_t kRows = 6, kBits = 5;
  const ItemLabels labels = ItemLabels::ids(kRows, 2, 7), v_labels = ItemLabels::ids(9, 2, 8);
  const Items<double> v(9, kBits, 2);
  for (const Items<double>* bank : {static_cast<const Items<double>*>(nullptr), &v}) {
    Items<double> u(kRows, kBits, 1);
    const auto value = [&] {
      const PairwiseResult result = run(u, bank, kBits, labels, v_labels, ecm(kBits), 1).result;
      return result.positive_term + result.negative_term;
    };
    const Answer answer = run(u, bank, kBits, labels, v_labels, ecm(kBits), 1);
    for (int64_t i = 0; i < kRows * kBits; ++i) {
      const double at = u.values[i], step = 1e-6;
      u.values[i] = at + step;
      const double above = value();
      u.values[i] = at - step;
      const double below = value();
      u.values[i] = at;
      EXPECT_NEAR(answer.grad[i], (above - below) / (2 * step), 1e-7);
    }
  }
}

TEST_P(Pairwise, AnyNumberOfThreadsGivesTheSameBits) {
  for (int64_t n : {700, 1500}) {
    const Items<float> u(n, 40, 1), v(900, 40, 2);
    const ItemLabels labels = ItemLabels::ids(n, 10, 3), v_labels = ItemLabels::ids(900, 10, 4);
    for (const Items<float>* bank : {static_cast<const Items<float>*>(nullptr), &v}) {
      const Answer expected = run(u, bank, 40, labels, v_labels, ecm(40), 1);
      for (int threads : {2, 5}) {
        const Answer answer = run(u, bank, 40, labels, v_labels, ecm(40), threads);
        EXPECT_EQ(answer.result.positive_term, expected.result.positive_term);
        EXPECT_EQ(answer.result.negative_term, expected.result.negative_term);
        EXPECT_EQ(answer.grad, expected.grad);
      }
    }
  }
}

TEST_P(Pairwise, FloatStaysNearDoubleOnLargeBatches) {
  constexpr int64_t kRows = 2048, kBits = 16;
  const Items<float> u(kRows, kBits, 1, 0, 0.9);
  Items<double> exact(kRows, kBits, 1);
  std::copy(u.values.begin(), u.values.end(), exact.values.begin());
  const ItemLabels labels = ItemLabels::ids(kRows, 10, 3);
  expect_close(run<float>(u, nullptr, kBits, labels, labels, ecm(kBits), 2),
               run<double>(exact, nullptr, kBits, labels, labels, ecm(kBits), 2), 1e-5);
}

TEST_P(Pairwise, NotANumberComesThrough) {
  Items<float> u(100, 10, 1);
  u.row(70)[3] = std::numeric_limits<float>::quiet_NaN();
  const ItemLabels labels = ItemLabels::ids(100, 2, 3);
  const Answer answer = run<float>(u, nullptr, 10, labels, labels, ecm(10), 1);
  EXPECT_TRUE(std::isnan(answer.result.positive_term));
  EXPECT_TRUE(std::isnan(answer.result.negative_term));
  for (double value : answer.grad) EXPECT_TRUE(std::isnan(value));
}

HASHKERNELS_FOR_EACH_ISA(Pairwise);

}  // namespace
}  // namespace hashkernels
