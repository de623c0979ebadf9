#include "hashkernels/values.h"

#include <cmath>
#include <limits>

#include "testing.hpp"

namespace hashkernels {
namespace {

template <class T>
void expect_bad_value_found_anywhere() {
  using Limits = std::numeric_limits<T>;
  for (const int count : {1, 7, 64, 129}) {
    std::vector<T> values(count, T{-0.5});
    values[count / 2] = Limits::max();
    values[count / 3] = -Limits::denorm_min();
    EXPECT_TRUE(all_finite(values.data(), count));
    for (int i = 0; i < count; ++i) {
      for (const T bad : {Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN(), -Limits::signaling_NaN()}) {
        const T good = std::exchange(values[i], bad);
        EXPECT_FALSE(all_finite(values.data(), count)) << bad << " at " << i << " of " << count;
        values[i] = good;
      }
    }
  }
  EXPECT_TRUE(all_finite(static_cast<const T*>(nullptr), 0));
}

TEST(Values, FiniteUnlessOneIsNot) {
  expect_bad_value_found_anywhere<float>();
  expect_bad_value_found_anywhere<double>();
}

TEST(Values, LeastAndGreatest) {
  std::mt19937_64 random(7);
  for (const int count : {1, 2, 9, 500}) {
    std::vector<int64_t> values(count);
    for (int64_t& value : values) value = static_cast<int64_t>(random());
    const auto [least, greatest] = std::minmax_element(values.begin(), values.end());
    EXPECT_EQ(least_and_greatest(values.data(), count), std::make_pair(*least, *greatest));
  }
}

}  // namespace
}  // namespace hashkernels
