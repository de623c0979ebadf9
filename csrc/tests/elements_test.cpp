#include "hashkernels/elements.h"

#include <cmath>
#include <limits>

#include "testing.hpp"

namespace hashkernels {
namespace {

// Loss and slope by the library's functions.
std::pair<double, double> expected_element(ElementFunction function, double u, double target, double parameter) {
  const double sign = u > 0 ? 1 : u < 0 ? -1 : 0, x = std::abs(u) - 1, side = x > 0 ? 1 : x < 0 ? -1 : 0;
  switch (function) {
    case ElementFunction::kHinge: {
      const double slack = parameter - target * u;
      if (target == 0) return {0, 0};
      return {std::max(slack, 0.0), slack >= 0 ? -target : 0};
    }
    case ElementFunction::kLogistic: {
      const double z = -parameter * target * u;
      if (target == 0) return {0, 0};
      return {std::max(z, 0.0) + std::log1p(std::exp(-std::abs(z))), -parameter * target / (1 + std::exp(-z))};
    }
    case ElementFunction::kTanhError: {
      const double code = std::tanh(parameter * u / 2), error = std::abs(code) - 1;
      return {error * error, parameter * error * (1 - code * code) * sign};
    }
    case ElementFunction::kLogCosh:
      return {std::log(std::cosh(x)), std::tanh(x) * sign};
    case ElementFunction::kAbsolute:
      return {std::abs(x), side * sign};
  }
  return {};
}

template <class T>
struct ElementsCase {
  ElementsCase(int64_t count, unsigned seed) {
    std::mt19937_64 random(seed);
    std::normal_distribution<double> normal(0, 2);
    for (int64_t i = 0; i < count; ++i) {
      u.push_back(i % 7 == 0 ? T{0} : static_cast<T>(normal(random)));
      targets.push_back(static_cast<int8_t>(static_cast<int>(random() % 3) - 1));
    }
  }

  std::pair<std::vector<double>, std::vector<T>> run(const std::vector<ElementTerm>& terms, int threads) const {
    std::vector<double> sums(terms.size(), std::numeric_limits<double>::quiet_NaN());
    std::vector<T> grad(u.size(), std::numeric_limits<T>::quiet_NaN());
    EXPECT_EQ(element_loss(u.data(), targets.data(), static_cast<int64_t>(u.size()), terms.data(),
                           static_cast<int>(terms.size()), sums.data(), grad.data(), threads),
              Status::kOk);
    return {sums, grad};
  }

  std::vector<T> u;
  std::vector<int8_t> targets;
};

class Elements : public testing::ForEachIsa {};

template <class T>
void expect_right(int64_t count, double tolerance) {
  const ElementsCase<T> example(count, static_cast<unsigned>(count));
  for (int f = 0; f < kElementFunctions; ++f) {
    SCOPED_TRACE(::testing::Message() << count << " values, function " << f);
    const ElementTerm term{static_cast<ElementFunction>(f), 1.5, 0.25};
    const auto [sums, grad] = example.run({term}, 1);
    double sum = 0;
    for (int64_t i = 0; i < count; ++i) {
      const auto [value, slope] = expected_element(term.function, example.u[i], example.targets[i], term.parameter);
      sum += 0.25 * value;
      ASSERT_NEAR(grad[i], 0.25 * slope, 4 * tolerance) << i;
    }
    EXPECT_NEAR(sums[0], sum, tolerance * (1 + sum));
    double alone = 0;
    EXPECT_EQ(element_loss<T>(example.u.data(), example.targets.data(), count, &term, 1, &alone, nullptr, 1),
              Status::kOk);
    EXPECT_EQ(alone, sums[0]);
  }
}

TEST_P(Elements, EqualTheFormulas) {
  for (int64_t count : {1, 2, 3, 7, 16, 31, 64, 100, 1024, 2049}) {
    expect_right<float>(count, 2e-6);
    expect_right<double>(count, 1e-14);
  }
}

TEST_P(Elements, TermsAddUpInTheGradient) {
  const ElementsCase<double> example(50, 3);
  const ElementTerm first{ElementFunction::kHinge, 1, 2}, second{ElementFunction::kLogCosh, 0, 3};
  const auto both = example.run({first, second}, 1), one = example.run({first}, 1), other = example.run({second}, 1);
  EXPECT_EQ(both.first, (std::vector<double>{one.first[0], other.first[0]}));
  for (size_t i = 0; i < both.second.size(); ++i) {
    EXPECT_NEAR(both.second[i], one.second[i] + other.second[i], 1e-14);
  }
}

TEST_P(Elements, NoValuesGiveZero) {
  EXPECT_EQ(ElementsCase<float>(0, 1).run({{ElementFunction::kAbsolute, 0, 1}}, 2).first, std::vector<double>{0});
}

TEST_P(Elements, AnyNumberOfThreadsGivesTheSameBits) {
  const ElementsCase<float> many(100'003, 2);
  const std::vector<ElementTerm> terms{{ElementFunction::kLogistic, 2, 1}, {ElementFunction::kTanhError, 2, 0.1}};
  const auto expected = many.run(terms, 1);
  for (int threads : {2, 5}) EXPECT_EQ(many.run(terms, threads), expected);
}

HASHKERNELS_FOR_EACH_ISA(Elements);

}  // namespace
}  // namespace hashkernels
