#include "hashkernels/triplets.h"

#include <cmath>
#include <limits>

#include "testing.hpp"

namespace hashkernels {
namespace {

template <class T>
struct TripletsCase {
  TripletsCase(int64_t queries, int64_t items, double spread, double margin_, unsigned seed)
      : num_queries(queries), num_items(items), margin(margin_), weights(queries) {
    std::mt19937_64 random(seed);
    std::normal_distribution<double> normal(0, spread);
    for (int64_t i = 0; i < queries * items; ++i) {
      similarities.push_back(static_cast<T>(normal(random)));
      const auto kind = random() % 3;
      relevant.push_back(kind == 1);
      irrelevant.push_back(kind == 2);
    }
    for (double& weight : weights) weight = 0.5 + random() % 3;
  }

  std::pair<double, std::vector<T>> run(int threads, bool with_grad = true) const {
    std::vector<T> grad(num_queries * num_items, std::numeric_limits<T>::quiet_NaN());
    double loss = std::numeric_limits<double>::quiet_NaN();
    const Triplets<T> triplets{similarities.data(), relevant.data(), irrelevant.data(), weights.data(), num_queries,
                               num_items,           margin};
    EXPECT_EQ(triplet_likelihood(triplets, &loss, with_grad ? grad.data() : nullptr, threads), Status::kOk);
    return {loss, grad};
  }

  void expect_right(double tolerance) const {
    double expected = 0, largest = 0;
    std::vector<double> slopes(num_queries * num_items);
    for (int64_t q = 0; q < num_queries; ++q) {
      for (int64_t p = q * num_items; p < (q + 1) * num_items; ++p) {
        for (int64_t n = q * num_items; relevant[p] && n < (q + 1) * num_items; ++n) {
          if (!irrelevant[n]) continue;
          const double z = static_cast<double>(similarities[n]) + margin - similarities[p];
          expected += weights[q] * (std::max(z, 0.0) + std::log1p(std::exp(-std::abs(z))));
          const double slope = weights[q] / (1 + std::exp(-z));
          slopes[n] += slope;
          slopes[p] -= slope;
        }
      }
    }
    const auto [loss, grad] = run(1);
    EXPECT_NEAR(loss, expected, tolerance * expected);
    EXPECT_EQ(run(1, false).first, loss);
    for (double slope : slopes) largest = std::max(largest, std::abs(slope));
    for (size_t i = 0; i < slopes.size(); ++i) ASSERT_NEAR(grad[i], slopes[i], tolerance * largest) << i;
  }

  int64_t num_queries, num_items;
  double margin;
  std::vector<T> similarities;
  std::vector<uint8_t> relevant, irrelevant;
  std::vector<double> weights;
};

class TripletLikelihood : public testing::ForEachIsa {};

TEST_P(TripletLikelihood, EqualsTheTripleLoop) {
  for (int64_t items : {1, 2, 3, 7, 16, 47, 100, 131}) {
    for (double spread : {0.5, 30.0}) {
      SCOPED_TRACE(::testing::Message() << items << " items, spread " << spread);
      TripletsCase<float>(3, items, spread, 2, 1).expect_right(2e-6);
      TripletsCase<double>(3, items, spread, 2, 1).expect_right(1e-13);
    }
  }
}

TEST_P(TripletLikelihood, NoQueriesNoItemsNoTriplets) {
  EXPECT_EQ(TripletsCase<float>(0, 5, 1, 1, 1).run(2).first, 0);
  EXPECT_EQ(TripletsCase<float>(5, 0, 1, 1, 1).run(2).first, 0);
  TripletsCase<float> none(4, 9, 1, 1, 1);
  std::fill(none.relevant.begin(), none.relevant.end(), 0);
  const auto [loss, grad] = none.run(1);
  EXPECT_EQ(loss, 0);
  EXPECT_EQ(grad, std::vector<float>(36));
}

TEST_P(TripletLikelihood, AnyNumberOfThreadsGivesTheSameBits) {
  const TripletsCase<float> many(150, 200, 3, 1, 2);
  const auto expected = many.run(1);
  for (int threads : {2, 5}) EXPECT_EQ(many.run(threads), expected);
}

TEST_P(TripletLikelihood, NotANumberComesThrough) {
  TripletsCase<float> wrong(2, 20, 1, 1, 1);
  wrong.relevant[3] = 1;
  wrong.irrelevant[3] = 0;
  wrong.similarities[3] = std::numeric_limits<float>::quiet_NaN();
  const auto [loss, grad] = wrong.run(1);
  EXPECT_TRUE(std::isnan(loss));
  EXPECT_TRUE(std::isnan(grad[3]));
  EXPECT_FALSE(std::isnan(grad[20]));
}

HASHKERNELS_FOR_EACH_ISA(TripletLikelihood);

}  // namespace
}  // namespace hashkernels
