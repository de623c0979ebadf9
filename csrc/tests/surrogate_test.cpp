#include "hashkernels/surrogate.h"

#include <cmath>
#include <limits>

#include "testing.hpp"

namespace hashkernels {
namespace {

// One step of the hidden layer and the softmax, on random numbers; the two products between them are random as well.
template <class T>
struct SurrogateCase {
  SurrogateCase(int64_t blocks_, int64_t items_, int64_t hidden_, int size_, unsigned seed)
      : blocks(blocks_), items(items_), hidden(hidden_), num_words((hidden_ + 63) / 64), size(size_), random(seed) {
    x = normal(blocks * items * size);
    weight = normal(blocks * hidden * size);
    bias = normal(blocks * hidden);
    logits = normal(blocks * items * num_patterns());
    product = normal(blocks * items * hidden);
    weight_out = normal(blocks * num_patterns() * hidden);
    weights = normal(items);
    for (int64_t i = 0; i < blocks * items * num_words; ++i) kept.push_back(random());
    for (int64_t i = 0; i < blocks * 2 * items; ++i) {
      patterns.push_back(static_cast<int64_t>(random() % static_cast<uint64_t>(num_patterns())));
    }
  }

  int64_t num_patterns() const { return int64_t{1} << size; }

  std::vector<T> normal(int64_t count) {
    std::normal_distribution<double> distribution(0, 1.5);
    std::vector<T> values;
    for (int64_t i = 0; i < count; ++i) values.push_back(static_cast<T>(distribution(random)));
    return values;
  }

  // Items of a block lie as in a code: those of all blocks side by side.
  HiddenLayer<T> layer() const { return {x.data(), size, blocks * size, weight.data(), blocks, items, hidden, size}; }
  T input(int64_t k, int64_t n, int j) const { return x[(n * blocks + k) * size + j]; }
  Patterns chosen() const { return {patterns.data(), blocks, items, num_patterns()}; }

  struct Results {
    std::vector<T> units, slope, errors, grad_x, grad_weight, grad_bias;
    double nll[2];

    bool operator==(const Results&) const = default;
  };

  Results run(int threads, bool drops = true) const {
    const T poison = std::numeric_limits<T>::quiet_NaN();
    const std::vector<T> rows(product.size(), poison);
    Results r{rows,
              rows,
              std::vector<T>(logits.size(), poison),
              std::vector<T>(x.size(), poison),
              std::vector<T>(weight.size(), poison),
              std::vector<T>(bias.size(), poison),
              {0, 0}};
    EXPECT_EQ(hidden_units(layer(), bias.data(), drops ? kept.data() : nullptr, T{2}, r.units.data(), r.slope.data(),
                           threads),
              Status::kOk);
    EXPECT_EQ(pattern_errors(chosen(), logits.data(), weights.data(), r.errors.data(), r.nll, threads), Status::kOk);
    const HiddenGradients<T> gradients{product.data(),  r.slope.data(),       weight_out.data(),
                                       r.grad_x.data(), r.grad_weight.data(), r.grad_bias.data()};
    EXPECT_EQ(hidden_gradients(layer(), chosen(), gradients, threads), Status::kOk);
    return r;
  }

  void expect_units(const Results& found, bool drops, double tolerance) const {
    for (int64_t i = 0; i < blocks * items * hidden; ++i) {
      const int64_t h = i % hidden, row = i / hidden, k = row / items, n = row % items;
      double z = bias[k * hidden + h];
      for (int j = 0; j < size; ++j) z += static_cast<double>(input(k, n, j)) * weight[(k * hidden + h) * size + j];
      const bool keeps = !drops || (kept[row * num_words + h / 64] >> (h % 64) & 1);
      const double gate = 1 / (1 + std::exp(-z)), factor = keeps ? 2 : 0;
      ASSERT_NEAR(found.units[i], factor * z * gate, tolerance * (1 + std::abs(z))) << i;
      ASSERT_NEAR(found.slope[i], factor * gate * (1 + z * (1 - gate)), tolerance * (1 + std::abs(z))) << i;
    }
  }

  void expect_errors(const Results& found, double tolerance) const {
    double nll[2] = {0, 0};
    for (int64_t row = 0; row < blocks * items; ++row) {
      const int64_t k = row / items, n = row % items;
      const T* const values = logits.data() + row * num_patterns();
      const int64_t* const own = patterns.data() + 2 * k * items + n;
      double total = 0;
      for (int64_t p = 0; p < num_patterns(); ++p) total += std::exp(static_cast<double>(values[p]));
      for (int64_t p = 0; p < num_patterns(); ++p) {
        const double wanted = std::exp(static_cast<double>(values[p])) / total - (p == *own);
        ASSERT_NEAR(found.errors[row * num_patterns() + p], wanted, tolerance);
      }
      nll[0] += std::log(total) - values[own[0]];
      nll[1] += weights[n] * (std::log(total) - values[own[items]]);
    }
    EXPECT_NEAR(found.nll[0], nll[0], tolerance * (1 + static_cast<double>(blocks * items)));
    EXPECT_NEAR(found.nll[1], nll[1], tolerance * (1 + static_cast<double>(blocks * items)));
  }

  void expect_gradients(const Results& found, double tolerance) const {
    std::vector<double> grad_x(x.size()), grad_weight(weight.size()), grad_bias(bias.size());
    for (int64_t i = 0; i < blocks * items * hidden; ++i) {
      const int64_t h = i % hidden, row = i / hidden, k = row / items, n = row % items;
      const int64_t* const own = patterns.data() + 2 * k * items + n;
      const auto row_of = [&](int64_t pattern) {
        return static_cast<double>(weight_out[(k * num_patterns() + pattern) * hidden + h]);
      };
      const double first = static_cast<double>(product[i]) * found.slope[i];
      const double second = (product[i] + row_of(own[0]) - row_of(own[items])) * found.slope[i];
      grad_bias[k * hidden + h] += first;
      for (int j = 0; j < size; ++j) {
        grad_weight[(k * hidden + h) * size + j] += first * input(k, n, j);
        grad_x[row * size + j] += second * weight[(k * hidden + h) * size + j];
      }
    }
    const double scale = tolerance * static_cast<double>(10 + items + hidden);
    for (size_t i = 0; i < grad_x.size(); ++i) ASSERT_NEAR(found.grad_x[i], grad_x[i], scale) << i;
    for (size_t i = 0; i < grad_weight.size(); ++i) ASSERT_NEAR(found.grad_weight[i], grad_weight[i], scale) << i;
    for (size_t i = 0; i < grad_bias.size(); ++i) ASSERT_NEAR(found.grad_bias[i], grad_bias[i], scale) << i;
  }

  int64_t blocks, items, hidden, num_words;
  int size;
  std::mt19937_64 random;
  std::vector<T> x, weight, bias, logits, product, weight_out, weights;
  std::vector<uint64_t> kept;
  std::vector<int64_t> patterns;
};

class Surrogate : public testing::ForEachIsa {};

template <class T>
void expect_right(int64_t items, int64_t hidden, int size, double tolerance) {
  SCOPED_TRACE(::testing::Message() << items << " items, " << hidden << " units, " << size << " bits");
  const SurrogateCase<T> example(2, items, hidden, size, static_cast<unsigned>(items + hidden));
  for (bool drops : {true, false}) {
    const auto found = example.run(1, drops);
    example.expect_units(found, drops, tolerance);
    example.expect_errors(found, tolerance);
    example.expect_gradients(found, tolerance);
  }
}

TEST_P(Surrogate, EqualsTheFormulas) {
  for (int64_t items : {1, 3, 64, 65, 130}) {
    for (int64_t hidden : {1, 4, 15, 16, 63, 65}) {
      for (int size : {1, 3, 4, 5}) {
        expect_right<float>(items, hidden, size, 3e-6);
        expect_right<double>(items, hidden, size, 1e-14);
      }
    }
  }
  expect_right<float>(3, 256, kMaxBlockBits, 3e-6);
  expect_right<double>(3, 256, kMaxBlockBits, 1e-14);
}

TEST_P(Surrogate, NoItemsGiveNoGradient) {
  const auto found = SurrogateCase<float>(2, 0, 5, 3, 1).run(2);
  EXPECT_EQ(found.nll[0], 0);
  EXPECT_EQ(found.nll[1], 0);
  EXPECT_EQ(found.grad_weight, std::vector<float>(30));
  EXPECT_EQ(found.grad_bias, std::vector<float>(10));
}

TEST_P(Surrogate, AnyNumberOfThreadsGivesTheSameBits) {
  const SurrogateCase<float> many(3, 500, 70, 4, 2);
  const auto expected = many.run(1);
  for (int threads : {2, 5}) EXPECT_EQ(many.run(threads), expected);
}

TEST_P(Surrogate, ErrorsMayReplaceTheLogits) {
  SurrogateCase<double> example(2, 70, 5, 3, 3);
  const auto expected = example.run(1);
  double nll[2];
  double* const logits = example.logits.data();
  EXPECT_EQ(pattern_errors(example.chosen(), logits, example.weights.data(), logits, nll, 1), Status::kOk);
  EXPECT_EQ(example.logits, expected.errors);
  EXPECT_EQ(nll[1], expected.nll[1]);
}

TEST_P(Surrogate, GradientsThatAreNotWantedAreNotWritten) {
  const SurrogateCase<double> example(2, 70, 5, 3, 3);
  const auto expected = example.run(1);
  std::vector<double> grad_x(expected.grad_x.size()), grad_weight(expected.grad_weight.size()), grad_bias(10);
  HiddenGradients<double> wanted{
      example.product.data(), expected.slope.data(), example.weight_out.data(), grad_x.data(), nullptr, nullptr};
  EXPECT_EQ(hidden_gradients(example.layer(), example.chosen(), wanted, 1), Status::kOk);
  EXPECT_EQ(grad_x, expected.grad_x);
  wanted.grad_x = nullptr;
  wanted.grad_weight = grad_weight.data();
  wanted.grad_bias = grad_bias.data();
  EXPECT_EQ(hidden_gradients(example.layer(), example.chosen(), wanted, 1), Status::kOk);
  EXPECT_EQ(grad_weight, expected.grad_weight);
  EXPECT_EQ(grad_bias, expected.grad_bias);
}

HASHKERNELS_FOR_EACH_ISA(Surrogate);

}  // namespace
}  // namespace hashkernels
