#include "hashkernels/pairwise.h"

#include <cmath>
#include <limits>
#include <memory>

#include "emulated.hpp"

namespace hashkernels {
namespace {

using namespace testing;

// Embeddings of about unit variance, rows `gap` values apart, and nothing after the last.
std::vector<float> random_values(int64_t count, int64_t bits, int64_t gap, unsigned seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  const int64_t size = count == 0 ? 0 : (count - 1) * (bits + gap) + bits;
  std::vector<float> values(size, std::numeric_limits<float>::quiet_NaN());
  for (int64_t i = 0; i < size; ++i) {
    if (i % (bits + gap) < bits) values[i] = normal(random);
  }
  return values;
}

struct Answer {
  std::vector<double> terms;
  std::vector<int64_t> num_pairs;
  std::vector<float> grad;
  bool operator==(const Answer&) const = default;
};

// The three losses, by the type of their parameters.
template <class Loss, class... Arguments>
Status on_device(const Loss& loss, const Embeddings<float>& u, const Embeddings<float>& v, int64_t bits,
                 Labels u_labels, Labels v_labels, Arguments... rest) {
  if constexpr (std::is_same_v<Loss, MarginLoss>) {
    return cuda::margin_loss(u, v, bits, u_labels, v_labels, loss, rest...);
  } else if constexpr (std::is_same_v<Loss, LikelihoodLoss>) {
    return cuda::likelihood_loss(u, v, bits, u_labels, v_labels, loss, rest...);
  } else {
    return cuda::cauchy_loss(u, v, bits, u_labels, v_labels, loss, rest...);
  }
}

template <class Loss, class... Arguments>
Status on_cpu(const Loss& loss, const Embeddings<double>& u, const Embeddings<double>& v, int64_t bits, Labels u_labels,
              Labels v_labels, Arguments... rest) {
  if constexpr (std::is_same_v<Loss, MarginLoss>) {
    return margin_loss<double>(u, v, bits, u_labels, v_labels, loss, rest...);
  } else if constexpr (std::is_same_v<Loss, LikelihoodLoss>) {
    return likelihood_loss<double>(u, v, bits, u_labels, v_labels, loss, rest...);
  } else {
    return cauchy_loss<double>(u, v, bits, u_labels, v_labels, loss, rest...);
  }
}

MarginLoss margins(int64_t bits) { return {0.8 * bits, -0.3 * bits, 1.0 / bits, 0.5 / bits}; }

template <class Loss>
class PairCase {
 public:
  // num_columns < 0: the batch against itself.
  PairCase(int64_t num_rows, int64_t num_columns, int64_t bits, int label_words, const Loss& loss, int64_t gap = 0)
      : rows_(num_rows),
        columns_(num_columns),
        bits_(bits),
        stride_(bits + gap),
        u_(random_values(num_rows, bits, gap, 1)),
        v_(random_values(std::max<int64_t>(num_columns, 0), bits, gap, 2)),
        u_labels_(num_rows, label_words, 3),
        v_labels_(std::max<int64_t>(num_columns, 0), label_words, 4),
        loss_(loss) {}

  std::vector<float>& u() { return u_; }

  Answer run(bool with_grad = true) {
    emulator::DeviceArray<float> u(u_), v(v_), grad(with_grad ? rows_ * bits_ : 0);
    emulator::DeviceArray<double> terms(2);
    emulator::DeviceArray<int64_t> num_pairs(2),
        workspace(cuda::pairwise_loss_workspace(rows_, other(), bits_, with_grad));
    const Embeddings<float> bank{columns_ < 0 ? nullptr : v.data(), std::max<int64_t>(columns_, 0), stride_};
    EXPECT_EQ(
        on_device(loss_, {u.data(), rows_, stride_}, bank, bits_, u_labels_.device(), v_labels_.device(), terms.data(),
                  num_pairs.data(), with_grad ? grad.data() : nullptr, workspace.data(), 0, nullptr),
        Status::kOk);
    return {terms.host(), num_pairs.host(), grad.host()};
  }

  // By the CPU kernel in float64.
  void expect_close_to_cpu(const Answer& answer) {
    const std::vector<double> u(u_.begin(), u_.end()), v(v_.begin(), v_.end());
    std::vector<double> grad(rows_ * bits_);
    PairwiseResult expected{};
    const Embeddings<double> bank{columns_ < 0 ? nullptr : v.data(), std::max<int64_t>(columns_, 0), stride_};
    ASSERT_EQ(on_cpu(loss_, {u.data(), rows_, stride_}, bank, bits_, u_labels_.host(), v_labels_.host(), &expected,
                     grad.data(), 1),
              Status::kOk);
    ASSERT_EQ(answer.num_pairs, (std::vector<int64_t>{expected.positive_pairs, expected.negative_pairs}));
    ASSERT_NEAR(answer.terms[0], expected.positive_term, 1e-5 * expected.positive_term);
    ASSERT_NEAR(answer.terms[1], expected.negative_term, 1e-5 * expected.negative_term);
    double largest = 0;
    for (double value : grad) largest = std::max(largest, std::abs(value));
    for (size_t i = 0; i < grad.size(); ++i) ASSERT_NEAR(answer.grad[i], grad[i], 1e-5 * largest) << i;
  }

  // Close to the CPU, and the same bits under every schedule.
  void expect_right(uint64_t schedules = kSchedules) {
    SCOPED_TRACE(::testing::Message() << rows_ << " x " << columns_ << " items, " << bits_ << " bits");
    std::unique_ptr<Answer> first;
    for_each_schedule(
        [&] {
          const Answer answer = run();
          if (first == nullptr) {
            expect_close_to_cpu(answer);
            first = std::make_unique<Answer>(answer);
          }
          ASSERT_EQ(answer, *first);
        },
        schedules);
  }

 private:
  int64_t other() const { return columns_ < 0 ? rows_ : columns_; }

  int64_t rows_, columns_, bits_, stride_;
  std::vector<float> u_, v_;
  RandomLabels u_labels_, v_labels_;
  Loss loss_;
};

TEST(EmulatedMarginLoss, BatchAgainstItself) {
  for (int64_t n : {1, 2, 17, 65, 130}) {
    for (int64_t bits : {1, 7, 16, 65}) PairCase(n, -1, bits, 0, margins(bits), bits % 3).expect_right();
  }
}

TEST(EmulatedMarginLoss, MultiHotLabels) {
  PairCase(70, -1, 48, 1, margins(48)).expect_right();
  PairCase(33, 70, 17, 3, margins(17), 1).expect_right();
}

TEST(EmulatedMarginLoss, BatchAgainstBank) {
  for (int64_t m : {1, 63, 130}) {
    for (int64_t n : {1, 5, 70}) PairCase(n, m, 33, 0, margins(33), 1).expect_right();
  }
}

TEST(EmulatedMarginLoss, LongCodes) {
  PairCase(70, -1, 200, 0, margins(200)).expect_right(5);
  PairCase(3, 70, 4096, 0, margins(4096)).expect_right(2);
}

TEST(EmulatedMarginLoss, SeveralTilesABlock) {
  PairCase(5, 200000, 2, 0, margins(2)).expect_right(1);
  PairCase(300, -1, 66, 0, margins(66)).expect_right(2);
}

TEST(EmulatedLikelihoodLoss, BatchAndBank) {
  for (const PairMean mean : {PairMean::kEachKind, PairMean::kWeighted}) {
    PairCase(70, -1, 48, 0, LikelihoodLoss{0.5, 1.0, 0.7, mean}).expect_right();
    PairCase(5, 130, 65, 1, LikelihoodLoss{0.1, 2.0, 1.0, mean}).expect_right(5);
    PairCase(20, -1, 9, 0, LikelihoodLoss{20.0, 1.0, 0.0, mean}).expect_right(2);
  }
}

TEST(EmulatedCauchyLoss, BatchAndBank) {
  for (const PairMean mean : {PairMean::kEachKind, PairMean::kWeighted}) {
    PairCase(70, -1, 48, 0, CauchyLoss{10.0, 0.4, 0.3, 1.0, 0.7, mean}).expect_right();
    PairCase(5, 130, 65, 1, CauchyLoss{5.0, 0.2, 1.0, 2.0, 1.0, mean}).expect_right(5);
  }
}

TEST(EmulatedMarginLoss, NoPairs) {
  for (const Answer& answer : {PairCase(5, 0, 8, 0, margins(8)).run(), PairCase(0, 5, 8, 0, margins(8)).run(),
                               PairCase(0, -1, 8, 0, margins(8)).run()}) {
    EXPECT_EQ(answer.terms, (std::vector<double>{0, 0}));
    EXPECT_EQ(answer.num_pairs, (std::vector<int64_t>{0, 0}));
    for (float value : answer.grad) EXPECT_EQ(value, 0);
  }
}

TEST(EmulatedMarginLoss, TermsAreTheSameWithoutGradient) {
  PairCase margin_case(90, -1, 12, 0, margins(12));
  EXPECT_EQ(margin_case.run(false).terms, margin_case.run(true).terms);
}

TEST(EmulatedMarginLoss, NotANumberComesThrough) {
  PairCase margin_case(100, -1, 10, 0, margins(10));
  margin_case.u()[703] = std::numeric_limits<float>::quiet_NaN();
  const Answer answer = margin_case.run();
  EXPECT_TRUE(std::isnan(answer.terms[0]));
  EXPECT_TRUE(std::isnan(answer.terms[1]));
  for (float value : answer.grad) EXPECT_TRUE(std::isnan(value));
}

}  // namespace
}  // namespace hashkernels
