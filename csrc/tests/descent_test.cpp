#include "hashkernels/descent.h"

#include <limits>

#include "testing.hpp"

namespace hashkernels {
namespace {

// Small integers, so that every sum is exact in any order and ties are real.
struct Problem {
  Problem(int64_t num_items, int num_bits, unsigned seed)
      : bits(num_bits), pull(num_items * bits), gram(bits * bits), codes(num_items * bits) {
    std::mt19937 random(seed);
    for (double& value : pull) value = static_cast<int>(random() % 9) - 4;
    for (int8_t& value : codes) value = random() % 2 != 0 ? 1 : -1;
    for (int i = 0; i < bits; ++i) {
      for (int j = 0; j <= i; ++j) gram[i * bits + j] = gram[j * bits + i] = static_cast<int>(random() % 5) - 2;
    }
  }

  double objective(const double* item_pull, const int8_t* code) const {
    double sum = 0;
    for (int i = 0; i < bits; ++i) {
      for (int j = 0; j < bits; ++j) sum += code[i] * gram[i * bits + j] * code[j];
      sum -= 2 * item_pull[i] * code[i];
    }
    return sum;
  }

  int bits;
  std::vector<double> pull, gram;
  std::vector<int8_t> codes;
};

TEST(Descent, EveryBitTakesTheValueOfTheLesserObjective) {
  for (int bits : {1, 3, 16, 21, 40}) {
    for (int sweeps : {1, 3}) {
      const int64_t num_items = 70;
      const Problem problem(num_items, bits, bits);
      std::vector<int8_t> expected = problem.codes;
      for (int64_t item = 0; item < num_items; ++item) {
        const double* pull = problem.pull.data() + item * bits;
        int8_t* code = expected.data() + item * bits;
        for (int step = 0; step < sweeps * bits; ++step) {
          int8_t& bit = code[step % bits];
          const double stays = problem.objective(pull, code);
          bit = -bit;
          if (!(problem.objective(pull, code) < stays)) bit = -bit;
        }
      }
      const std::vector<float> pull(problem.pull.begin(), problem.pull.end());
      const std::vector<float> gram(problem.gram.begin(), problem.gram.end());
      for (int threads : {1, 3}) {
        std::vector<int8_t> codes = problem.codes, codes32 = problem.codes;
        ASSERT_EQ(
            discrete_descent(problem.pull.data(), problem.gram.data(), num_items, bits, sweeps, codes.data(), threads),
            Status::kOk);
        ASSERT_EQ(discrete_descent(pull.data(), gram.data(), num_items, bits, sweeps, codes32.data(), threads),
                  Status::kOk);
        ASSERT_EQ(codes, expected) << bits;
        ASSERT_EQ(codes32, expected) << bits;
      }
    }
  }
}

TEST(Descent, NanLeavesABitAlone) {
  const double pull[] = {std::numeric_limits<double>::quiet_NaN(), -3}, gram[] = {1, 0, 0, 1};
  int8_t codes[] = {1, 1};
  ASSERT_EQ(discrete_descent(pull, gram, 1, 2, 1, codes, 1), Status::kOk);
  EXPECT_EQ(codes[0], 1);
  EXPECT_EQ(codes[1], -1);
}

}  // namespace
}  // namespace hashkernels
