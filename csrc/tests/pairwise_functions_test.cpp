// The functions of a pair: accuracy over their whole range, weights, and use in the engine.
#include "pairwise_testing.hpp"

namespace hashkernels {
namespace {

using namespace testing;

class PairwiseFunctions : public testing::ForEachIsa {};

// One pair (u, v) with theta = value exactly: its loss and its derivative.
template <class T, class Loss>
PairLoss at(T value, bool relevant, const Loss& loss) {
  const T one = 1;
  const int64_t label = 0, other = relevant ? 0 : 1;
  PairwiseResult result{};
  T slope = 0;
  EXPECT_EQ(compute<T>({&value, 1, 1}, {&one, 1, 1}, 1, {&label, 0}, {&other, 0}, loss, &result, &slope, 1),
            Status::kOk);
  return {result.positive_term + result.negative_term, static_cast<double>(slope)};
}

template <class T, class Loss>
void expect_accurate(T theta, bool relevant, const Loss& loss, double tolerance) {
  const PairLoss got = at(theta, relevant, loss), expected = formula(loss)(theta, relevant);
  EXPECT_NEAR(got.value, expected.value, tolerance * std::abs(expected.value)) << theta;
  EXPECT_NEAR(got.slope, expected.slope, tolerance * std::abs(expected.slope)) << theta;
}

TEST_P(PairwiseFunctions, LikelihoodIsAccurateOverItsRange) {
  const LikelihoodLoss loss{1, 1, 1, PairMean::kEachKind};
  for (int i = -8500; i <= 8500; ++i) {
    // The formula of relevant pairs cancels where theta is large; that of the others with the sign turned does not.
    const float theta = 0.01f * i;
    expect_accurate<float>(theta, false, loss, 5e-7);
    const PairLoss relevant = at(-theta, true, loss), irrelevant = at(theta, false, loss);
    EXPECT_EQ(relevant.value, irrelevant.value);
    EXPECT_EQ(relevant.slope, -irrelevant.slope);
    expect_accurate<double>(8 * theta, false, loss, 2e-15);
  }
}

TEST_P(PairwiseFunctions, LikelihoodOfExtremeValuesIsFinite) {
  const LikelihoodLoss loss{1, 1, 1, PairMean::kEachKind};
  for (bool relevant : {false, true}) {
    const float away = relevant ? -1e30f : 1e30f;
    EXPECT_FLOAT_EQ(at(away, relevant, loss).value, 1e30f);
    EXPECT_FLOAT_EQ(at(away, relevant, loss).slope, relevant ? -1 : 1);
    EXPECT_NEAR(at(-away, relevant, loss).value, 0, 1e-37);
    EXPECT_NEAR(at(-away, relevant, loss).slope, 0, 1e-37);
  }
}

TEST_P(PairwiseFunctions, CauchyIsAccurateOverItsRange) {
  const CauchyLoss loss{20, 24, 1e-6, 1e-6, 1, 1, PairMean::kEachKind};
  for (bool relevant : {false, true}) {
    for (double distance = 1e-6; distance < 100; distance *= 1.02) {
      expect_accurate<float>(static_cast<float>(1 - distance), relevant, loss, 1e-6);
      expect_accurate<double>(1 - distance, relevant, loss, 3e-15);
    }
  }
}

TEST_P(PairwiseFunctions, CauchyHasNoGradientBelowItsLeastDistance) {
  const CauchyLoss loss{20, 24, 0.25, 0.5, 1, 1, PairMean::kEachKind};
  for (bool relevant : {false, true}) {
    for (double theta : {1.0, 1.5, 0.999}) {
      EXPECT_EQ(at(theta, relevant, loss).slope, 0);
      EXPECT_NEAR(at(theta, relevant, loss).value, relevant ? std::log(20.25 / 20) : std::log(20.5 / 0.5), 1e-14);
    }
    EXPECT_EQ(at(0.985, relevant, loss).slope == 0, !relevant);  // a distance of 0.36
    EXPECT_NE(at(0.97, relevant, loss).slope, 0);
  }
}

TEST_P(PairwiseFunctions, NotANumberComesThrough) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (bool relevant : {false, true}) {
    EXPECT_TRUE(std::isnan(at(nan, relevant, LikelihoodLoss{1, 1, 1, PairMean::kEachKind}).value));
    EXPECT_TRUE(std::isnan(at(nan, relevant, LikelihoodLoss{1, 1, 1, PairMean::kEachKind}).slope));
    EXPECT_TRUE(std::isnan(at(nan, relevant, CauchyLoss{20, 24, 0.25, 0.25, 1, 1, PairMean::kEachKind}).value));
    EXPECT_TRUE(std::isnan(at(nan, relevant, CauchyLoss{20, 24, 0.25, 0.25, 1, 1, PairMean::kEachKind}).slope));
  }
}

template <class T, class Loss>
void check_against_double_loop(const Loss& loss) {
  constexpr int64_t kBits = 13;
  const double spread = 0.3;  // theta mostly within -1..1
  for (int64_t n : {2, 65, 150}) {
    const Items<T> u(n, kBits, 1, 2, spread), v(90, kBits, 2, 0, spread);
    const ItemLabels labels = ItemLabels::ids(n, 3, 3), v_labels = ItemLabels::ids(90, 3, 4);
    for (const Items<T>* bank : {static_cast<const Items<T>*>(nullptr), &v}) {
      expect_close(run(u, bank, kBits, labels, v_labels, loss, 1), double_loop(u, bank, kBits, labels, v_labels, loss),
                   kTolerance<T>);
    }
  }
}

TEST_P(PairwiseFunctions, EqualTheDoubleLoop) {
  for (PairMean mean : {PairMean::kEachKind, PairMean::kWeighted}) {
    check_against_double_loop<float>(LikelihoodLoss{0.5, 5, 1, mean});
    check_against_double_loop<double>(LikelihoodLoss{3, 1, 0, mean});
    check_against_double_loop<float>(CauchyLoss{15, 6.5, 0.5, 1.5, 1, 2, mean});
    check_against_double_loop<double>(CauchyLoss{0.5, 6.5, 2.5, 0.01, 1, 1, mean});
  }
}

// Against the double loop with labels of a kind, with itself and with a bank.
template <class T, class Loss>
void check_labels(const Loss& loss, int64_t bits, const ItemLabels& labels, const ItemLabels& v_labels, int64_t n,
                  int64_t m) {
  const Items<T> u(n, bits, 1, 1), v(m, bits, 2);
  for (const Items<T>* bank : {static_cast<const Items<T>*>(nullptr), &v}) {
    expect_close(run(u, bank, bits, labels, v_labels, loss, 1), double_loop(u, bank, bits, labels, v_labels, loss),
                 kTolerance<T>);
  }
}

TEST_P(PairwiseFunctions, ContrastiveEqualsTheDoubleLoop) {
  for (PairMean mean : {PairMean::kEachKind, PairMean::kWeighted}) {
    for (int64_t n : {1, 2, 65, 150}) {
      for (int64_t bits : {1, 7, 64, 130}) {
        SCOPED_TRACE(::testing::Message() << n << " items, " << bits << " bits");
        // Half of the irrelevant pairs are nearer than the margin.
        const ContrastiveLoss loss{2.0 * bits, 3, 2, mean};
        check_labels<float>(loss, bits, ItemLabels::ids(n, 3, 3), ItemLabels::ids(90, 3, 4), n, 90);
        check_labels<double>(loss, bits, ItemLabels::multi_hot(n, 1, 0.03, 3), ItemLabels::multi_hot(300, 1, 0.03, 4),
                             n, 300);
      }
    }
  }
}

TEST_P(PairwiseFunctions, OverlapEqualsTheDoubleLoop) {
  for (PairMean mean : {PairMean::kEachKind, PairMean::kWeighted}) {
    for (int words : {1, 3}) {
      for (double density : {0.02, 0.5, 1.0}) {
        SCOPED_TRACE(::testing::Message() << words << " words, density " << density);
        const LikelihoodLoss loss{0.5, 2, 1, mean, true};
        // The second word of the bank alone has classes.
        const ItemLabels labels = ItemLabels::multi_hot(70, words, density, 3);
        ItemLabels narrow = labels;
        for (int64_t i = 0; words > 1 && i < 70; ++i) narrow.data[i * words + 1] = 0;
        const ItemLabels v_labels = ItemLabels::multi_hot(90, words, density, 4);
        check_labels<float>(loss, 16, narrow, v_labels, 70, 90);
        check_labels<double>(loss, 16, labels, v_labels, 70, 90);
      }
    }
    check_labels<float>(LikelihoodLoss{0.5, 2, 1, mean, true}, 16, ItemLabels::ids(70, 3, 3), ItemLabels::ids(90, 3, 4),
                        70, 90);
  }
}

TEST_P(PairwiseFunctions, ContrastiveOfEqualItemsIsNotNegative) {
  Items<float> u(70, 33, 1, 0, 100);
  for (int64_t i = 1; i < 70; ++i) std::copy_n(u.row(0), 33, u.row(i));
  const ItemLabels one_class = ItemLabels::ids(70, 1, 3);
  const Answer answer =
      run<float>(u, nullptr, 33, one_class, one_class, ContrastiveLoss{1, 1, 1, PairMean::kEachKind}, 1);
  EXPECT_GE(answer.result.positive_term, 0);
}

TEST_P(PairwiseFunctions, TheSameBitsAtAnyNumberOfThreads) {
  const Items<float> u(700, 40, 1), v(900, 40, 2);
  const ItemLabels labels = ItemLabels::multi_hot(700, 2, 0.03, 3), v_labels = ItemLabels::multi_hot(900, 2, 0.03, 4);
  const auto check = [&](const auto& loss, const Items<float>* bank) {
    const Answer expected = run(u, bank, 40, labels, v_labels, loss, 1);
    for (int threads : {2, 5}) {
      const Answer answer = run(u, bank, 40, labels, v_labels, loss, threads);
      EXPECT_EQ(answer.result.positive_term, expected.result.positive_term);
      EXPECT_EQ(answer.result.negative_term, expected.result.negative_term);
      EXPECT_EQ(answer.grad, expected.grad);
    }
  };
  for (const Items<float>* bank : {static_cast<const Items<float>*>(nullptr), &v}) {
    check(ContrastiveLoss{80, 1, 1, PairMean::kEachKind}, bank);
    check(LikelihoodLoss{0.25, 1, 1, PairMean::kEachKind, true}, bank);
  }
}

HASHKERNELS_FOR_EACH_ISA(PairwiseFunctions);

}  // namespace
}  // namespace hashkernels
