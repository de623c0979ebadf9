// The engine, by way of the margin loss: sizes, labels, threads.
#include "pairwise_testing.hpp"

namespace hashkernels {
namespace {

using namespace testing;

MarginLoss ecm(int64_t bits) { return {0.8 * bits, -0.3 * bits, 1.0 / bits, 0.5 / bits}; }

template <class T>
void check_against_double_loop(int64_t num_rows, int64_t num_columns, int64_t bits, const ItemLabels& u_labels,
                               const ItemLabels& v_labels) {
  const Items<T> u(num_rows, bits, 1, bits % 3), v(num_columns, bits, 2, 1);
  const Items<T>* bank = num_columns == 0 ? nullptr : &v;
  const MarginLoss loss = ecm(bits);
  expect_close(run(u, bank, bits, u_labels, v_labels, loss, 1), double_loop(u, bank, bits, u_labels, v_labels, loss),
               kTolerance<T>);
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

TEST_P(Pairwise, BatchAgainstBankButForOneItemEach) {
  for (int64_t n : {1, 64, 70, 300}) {
    for (int64_t m : {1, 63, 130, 1000}) {
      SCOPED_TRACE(::testing::Message() << n << " x " << m << " items");
      Items<double> u(n, 9, 1), bank(m, 9, 2);
      std::mt19937_64 random(static_cast<unsigned>(n * m));
      for (int64_t i = 0; i < n; ++i) bank.left_out.push_back(static_cast<int64_t>(random() % (m + 4)) - 2);
      for (bool ids : {true, false}) {
        const ItemLabels u_labels = ids ? ItemLabels::ids(n, 3, 3) : ItemLabels::multi_hot(n, 2, 0.03, 3);
        const ItemLabels labels = ids ? ItemLabels::ids(m, 3, 4) : ItemLabels::multi_hot(m, 2, 0.03, 4);
        const Answer expected = double_loop(u, &bank, 9, u_labels, labels, ecm(9));
        for (int threads : {1, 3}) {
          expect_close(run(u, &bank, 9, u_labels, labels, ecm(9), threads), expected, kTolerance<double>);
        }
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

// 46342^2 pairs pass 2^31. Every relevant pair has loss 1, every other one 4.
TEST(PairwiseCounts, PassTheRangeOf32Bits) {
  constexpr int64_t kRows = 46342, kHalf = kRows / 2;
  const Items<float> u(kRows, 1, 1, 0, 0);
  for (int words : {0, 1}) {
    ItemLabels labels{words, std::vector<int64_t>(kRows)};
    for (int64_t i = 0; i < kRows; ++i) labels.data[i] = 1 + i % 2;
    PairwiseResult result{};
    ASSERT_EQ(margin_loss<float>(u.view(), {nullptr, 0, 0}, 1, labels.view(), labels.view(), {1, -2, 1, 1}, &result,
                                 nullptr, 2),
              Status::kOk);
    EXPECT_EQ(result.positive_pairs, 2 * kHalf * (kHalf - 1));
    EXPECT_EQ(result.negative_pairs, 2 * kHalf * kHalf);
    EXPECT_DOUBLE_EQ(result.positive_term, 1);
    EXPECT_DOUBLE_EQ(result.negative_term, 4);
  }
}

}  // namespace
}  // namespace hashkernels
