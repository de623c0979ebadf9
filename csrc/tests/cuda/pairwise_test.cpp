#include "pairwise_cases.hpp"

namespace hashkernels {
namespace {

using namespace testing;

void expect_nothing_but_nan(const Answer& answer) {
  EXPECT_TRUE(std::isnan(answer.terms[0]));
  EXPECT_TRUE(std::isnan(answer.terms[1]));
  for (float value : answer.grad) EXPECT_TRUE(std::isnan(value));
}

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

TEST(EmulatedMarginLoss, BankButForSome) {
  for (const Way way : {Way{}, kSplit, kFloat16, kBFloat16}) {
    for (int words : {0, 1, 3}) {
      PairCase(70, 130, 33, words, margins(33), 1, way).leaving_out(5).expect_right();
      PairCase(5, 70, 65, words, margins(65), 0, way).counting(2, 6).expect_right(5);
      PairCase(67, 300, 9, words, margins(9), 0, way).leaving_out(7).counting(3, 8).expect_right(5);
    }
    PairCase(3, 64, 16, 0, margins(16), 0, way).counting(1000000, 9).expect_right(2);  // nothing counts
    PairCase(64, 128, 16, 0, contrastive(16), 0, way).leaving_out(10).counting(4, 11).expect_right(5);
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
    PairCase(70, -1, 48, 0, CauchyLoss{10.0, 0.4, 0.3, 0.5, 1.0, 0.7, mean}).expect_right();
    PairCase(5, 130, 65, 1, CauchyLoss{5.0, 0.2, 1.5, 1.0, 2.0, 1.0, mean}).expect_right(5);
  }
}

TEST(EmulatedLikelihoodLoss, OverlapOfClasses) {
  const LikelihoodLoss loss{0.2, 1.0, 0.7, PairMean::kWeighted, true};
  PairCase(67, -1, 20, 0, loss).expect_right();
  for (const Way way : {Way{}, kSplit, kFloat16, kBFloat16}) {
    for (int words : {1, 3}) {
      PairCase(67, -1, 20, words, loss, 0, way).expect_right();
      PairCase(5, 70, 66, words, loss, 1, way).expect_right();
    }
  }
}

TEST(EmulatedContrastiveLoss, BatchAndBank) {
  for (const Way way : {Way{}, kSplit, kFloat16, kBFloat16}) {
    for (int64_t n : {1, 2, 17, 65}) PairCase(n, -1, 9, 0, contrastive(9), n % 3, way).expect_right();
    PairCase(5, 70, 65, 1, contrastive(65), 1, way).expect_right();
    PairCase(67, 34, 130, 0, contrastive(130), 0, way).expect_right();
  }
  PairCase(3, 70, 4096, 0, contrastive(4096), 0, kSplit).expect_right(1);
}

// All items lie near one point: distances are small beside the lengths, and every pair of one class counts.
TEST(EmulatedContrastiveLoss, NearItems) {
  constexpr int64_t kItems = 70, kBits = 64;
  constexpr double kSpread = 1e-2;
  for (const Way way : {Way{}, kSplit}) {
    PairCase near_case(kItems, -1, kBits, 0, contrastive(kBits), 0, way);
    std::mt19937_64 random(1);
    std::normal_distribution<float> normal(0, kSpread);
    for (int64_t i = 0; i < kItems * kBits; ++i) near_case.u().set(i, (i % kBits % 3 == 0 ? -1 : 1) + normal(random));
    near_case.expect_near_cpu(near_case.run(), 0x1p-18 * 2 * kBits, 0x1p-15 * kSpread);
  }
}

TEST(EmulatedContrastiveLoss, EqualItemsHaveNoLossAndNoGradient) {
  for (const Way way : {Way{}, kSplit, kFloat16, kBFloat16}) {
    PairCase equal_case(40, -1, 24, 0, ContrastiveLoss{0.0, 1.0, 1.0, PairMean::kEachKind}, 0, way);
    for (int64_t i = 0; i < 40 * 24; ++i) equal_case.u().set(i, i % 24 * 0.3f - 2.9f);
    const Answer answer = equal_case.run();
    EXPECT_NEAR(answer.terms[0], 0, 0x1p-18 * 2 * 24 * 4);
    EXPECT_EQ(answer.terms[1], 0);
    for (float value : answer.grad) EXPECT_NEAR(value, 0, 1e-7);
  }
}

TEST(EmulatedContrastiveLoss, TermsAreTheSameWithoutGradient) {
  for (const Way way : {Way{}, kSplit}) {
    PairCase contrastive_case(90, -1, 12, 0, contrastive(12), 0, way);
    EXPECT_EQ(contrastive_case.run(false).terms, contrastive_case.run(true).terms);
  }
}

TEST(EmulatedContrastiveLoss, NotANumberComesThrough) {
  for (const Way way : {Way{}, kSplit, kFloat16, kBFloat16}) {
    PairCase contrastive_case(100, -1, 10, 0, contrastive(10), 0, way);
    contrastive_case.u().set(703, std::numeric_limits<float>::quiet_NaN());
    expect_nothing_but_nan(contrastive_case.run());
  }
}

TEST(EmulatedMarginLoss, NoPairs) {
  for (const Answer& answer : {PairCase(5, 0, 8, 0, margins(8)).run(), PairCase(0, 5, 8, 0, margins(8)).run(),
                               PairCase(0, -1, 8, 0, margins(8)).run()}) {
    EXPECT_EQ(answer.terms, (std::vector<double>{0, 0, 0}));
    EXPECT_EQ(answer.num_pairs, (std::vector<double>{0, 0}));
    for (float value : answer.grad) EXPECT_EQ(value, 0);
  }
}

TEST(EmulatedMarginLoss, SignError) {
  for (const Way way : {Way{}, kSplit, kFloat16, kBFloat16}) {
    PairCase(70, -1, 48, 0, margins(48), 1, way).with_sign_error(0.25).expect_right();
    PairCase(5, 70, 65, 1, margins(65), 0, way).with_sign_error(0.25).expect_right();
    PairCase(9, 0, 33, 0, margins(33), 0, way).with_sign_error(0.25).expect_right();  // no pairs
  }
  PairCase(20, -1, 9, 0, contrastive(9)).with_sign_error(2).expect_right();
}

TEST(EmulatedMarginLoss, TermsAreTheSameWithoutGradient) {
  PairCase margin_case(90, -1, 12, 0, margins(12));
  EXPECT_EQ(margin_case.run(false).terms, margin_case.run(true).terms);
  margin_case.with_sign_error(0.5);
  EXPECT_EQ(margin_case.run(false).terms, margin_case.run(true).terms);
}

TEST(EmulatedMarginLoss, NotANumberComesThrough) {
  PairCase margin_case(100, -1, 10, 0, margins(10));
  margin_case.u().set(703, std::numeric_limits<float>::quiet_NaN());
  expect_nothing_but_nan(margin_case.run());
}

TEST(EmulatedSplitLoss, BatchAgainstItself) {
  for (int64_t n : {1, 2, 17, 65}) {
    for (int64_t bits : {1, 16, 50}) PairCase(n, -1, bits, 0, margins(bits), bits % 3, kSplit).expect_right();
  }
  PairCase(130, -1, 33, 0, margins(33), 0, kSplit).expect_right();
  PairCase(70, -1, 64, 0, margins(64), 0, kSplit, 16).expect_right();
}

TEST(EmulatedSplitLoss, BatchAgainstBank) {
  for (int64_t m : {1, 63, 130}) {
    for (int64_t n : {1, 70}) PairCase(n, m, 33, 0, margins(33), 1, kSplit).expect_right();
  }
}

TEST(EmulatedSplitLoss, MultiHotLabels) {
  PairCase(70, -1, 48, 1, margins(48), 0, kSplit).expect_right();
  PairCase(33, 70, 17, 3, margins(17), 1, kSplit).expect_right();
}

TEST(EmulatedSplitLoss, HalfTypesEnterExactly) {
  for (const Way way : {kFloat16, kBFloat16}) {
    for (size_t alignment : {2, 8}) {
      PairCase(65, -1, 48, 0, margins(48), 0, way, alignment).expect_right();
      PairCase(17, 70, 70, 1, margins(70), 1, way, alignment).expect_right();
    }
  }
}

TEST(EmulatedSplitLoss, LongCodes) {
  for (const Way way : {kSplit, kFloat16, kBFloat16}) {
    PairCase(70, -1, 200, 0, margins(200), 0, way).expect_right();
    PairCase(3, 70, 4096, 0, margins(4096), 0, way).expect_right(1);
  }
}

TEST(EmulatedSplitLoss, SeveralTilesABlock) {
  PairCase(5, 70000, 2, 0, margins(2), 0, kSplit).expect_right(1);
  PairCase(300, -1, 66, 0, margins(66), 0, kSplit).expect_right(2);
}

TEST(EmulatedSplitLoss, LikelihoodAndCauchy) {
  for (const Way way : {kSplit, kFloat16, kBFloat16}) {
    PairCase(70, -1, 48, 0, LikelihoodLoss{0.5, 1.0, 0.7, PairMean::kWeighted}, 0, way).expect_right();
    PairCase(5, 130, 65, 1, LikelihoodLoss{0.1, 2.0, 1.0, PairMean::kEachKind}, 0, way).expect_right();
    PairCase(70, -1, 48, 0, CauchyLoss{10.0, 0.4, 0.3, 0.5, 1.0, 0.7, PairMean::kEachKind}, 0, way).expect_right();
    PairCase(5, 130, 65, 1, CauchyLoss{5.0, 0.2, 1.5, 1.0, 2.0, 1.0, PairMean::kWeighted}, 0, way).expect_right();
  }
}

TEST(EmulatedSplitLoss, TermsAreTheSameWithoutGradient) {
  PairCase margin_case(90, -1, 12, 0, margins(12), 0, kSplit);
  EXPECT_EQ(margin_case.run(false).terms, margin_case.run(true).terms);
}

TEST(EmulatedSplitLoss, NotANumberComesThrough) {
  for (const Way way : {kSplit, kFloat16, kBFloat16}) {
    PairCase margin_case(100, -1, 10, 0, margins(10), 0, way);
    margin_case.u().set(703, std::numeric_limits<float>::quiet_NaN());
    expect_nothing_but_nan(margin_case.run());
  }
}

TEST(EmulatedMarginLoss, WorkspaceDoesNotGrowWithThePairs) {
  for (int64_t bits : {1, 64, 4096}) {
    for (int64_t rows = 1; rows <= int64_t{1} << 24; rows *= 4) {
      EXPECT_LE(cuda::contrastive_loss_workspace(rows, 1 << 24, bits, true), (1 << 24) + rows * (bits + 3)) << rows;
    }
  }
}

}  // namespace
}  // namespace hashkernels
