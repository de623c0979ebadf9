#include "hashkernels/triplets.h"

#include <cmath>
#include <limits>
#include <memory>

#include "emulated.hpp"

namespace hashkernels {
namespace {

using namespace testing;

struct TripletsAnswer {
  std::vector<double> loss;
  std::vector<float> grad;
  bool operator==(const TripletsAnswer&) const = default;
};

class TripletCase {
 public:
  TripletCase(int64_t num_queries, int64_t num_items, double spread, unsigned seed = 1)
      : queries_(num_queries), items_(num_items), similarities_(num_queries * num_items) {
    std::mt19937_64 random(seed);
    std::normal_distribution<float> normal(0, static_cast<float>(spread));
    for (int64_t i = 0; i < num_queries * num_items; ++i) {
      similarities_[i] = normal(random);
      const auto kind = random() % 4;
      relevant_.push_back(kind == 1);
      irrelevant_.push_back(kind >= 2);
    }
    for (int64_t q = 0; q < num_queries; ++q) weights_.push_back(0.5 + random() % 3);
  }

  std::vector<float>& similarities() { return similarities_; }

  TripletsAnswer run(bool with_grad = true) {
    emulator::DeviceArray<float> similarities(similarities_), grad(with_grad ? queries_ * items_ : 0);
    emulator::DeviceArray<uint8_t> relevant(relevant_), irrelevant(irrelevant_);
    emulator::DeviceArray<double> weights(weights_), loss(1), query_losses(queries_);
    const Triplets<float> triplets{
        similarities.data(), relevant.data(), irrelevant.data(), weights.data(), queries_, items_, kMargin};
    EXPECT_EQ(cuda::triplet_likelihood(triplets, loss.data(), with_grad ? grad.data() : nullptr, query_losses.data(), 0,
                                       nullptr),
              Status::kOk);
    return {loss.host(), grad.host()};
  }

  // To the CPU kernel in float64, with the same bits under every schedule.
  void expect_right() {
    SCOPED_TRACE(::testing::Message() << queries_ << " queries, " << items_ << " items");
    const std::vector<double> similarities(similarities_.begin(), similarities_.end());
    const Triplets<double> triplets{
        similarities.data(), relevant_.data(), irrelevant_.data(), weights_.data(), queries_, items_, kMargin};
    std::vector<double> grad(queries_ * items_);
    double loss = 0, largest = 0;
    ASSERT_EQ(triplet_likelihood(triplets, &loss, grad.data(), 1), Status::kOk);
    for (double value : grad) largest = std::max(largest, std::abs(value));
    std::unique_ptr<TripletsAnswer> first;
    for_each_schedule([&] {
      const TripletsAnswer answer = run();
      if (first == nullptr) {
        ASSERT_NEAR(answer.loss[0], loss, 2e-6 * loss);
        for (size_t i = 0; i < grad.size(); ++i) ASSERT_NEAR(answer.grad[i], grad[i], 2e-6 * largest) << i;
        first = std::make_unique<TripletsAnswer>(answer);
      }
      ASSERT_EQ(answer, *first);
    });
  }

 private:
  static constexpr double kMargin = 2;

  int64_t queries_, items_;
  std::vector<float> similarities_;
  std::vector<uint8_t> relevant_, irrelevant_;
  std::vector<double> weights_;
};

TEST(EmulatedTriplets, EqualTheCpu) {
  for (int64_t items : {1, 2, 31, 130, 257, 600}) {
    for (double spread : {0.5, 30.0}) TripletCase(3, items, spread).expect_right();
  }
  TripletCase(300, 3, 1).expect_right();
}

TEST(EmulatedTriplets, NoQueriesOrNoItems) {
  EXPECT_EQ(TripletCase(0, 5, 1).run().loss, std::vector<double>{0});
  EXPECT_EQ(TripletCase(5, 0, 1).run().loss, std::vector<double>{0});
}

TEST(EmulatedTriplets, TheLossIsTheSameWithoutGradient) {
  TripletCase triplets(4, 700, 1);
  EXPECT_EQ(triplets.run(false).loss, triplets.run(true).loss);
}

TEST(EmulatedTriplets, NotANumberComesThrough) {
  TripletCase triplets(1, 40, 1);
  triplets.similarities().assign(40, std::numeric_limits<float>::quiet_NaN());
  EXPECT_TRUE(std::isnan(triplets.run().loss[0]));
}

}  // namespace
}  // namespace hashkernels
