// exp and log1p of vectors, from basic arithmetic alone: no call leaves the file, and a tile gives the same bits
// wherever it lies. The polynomials are minimax fits made for these ranges. With rounding, the losses that use them and
// their slopes are within a relative error of 4e-7 for float and 1e-15 for double.
#pragma once

#include "pairwise_vector.hpp"

namespace hashkernels {
namespace {

template <class T>
struct MathConstants;

template <>
struct MathConstants<float> {
  static constexpr int kMantissaBits = 23;
  static constexpr int32_t kOne = 127 << 23;  // the bits of 1
  static constexpr float kRound = 0x1.8p23f;  // x + kRound - kRound rounds x to a whole number
  static constexpr float kLowest = -86.0f;    // half of its exp is a normal number
  static constexpr float kLeastSquare = 0x1p-100f;
  static constexpr float kLn2High = 0x1.62e4p-1f, kLn2Low = 0x1.7f7d1cp-20f;
  // e^r = 1 + r + r^2 P(r), |r| <= ln(2) / 2, to 4e-9.
  static constexpr float kExp[] = {0.499999934f, 0.166665201f, 0.0416683941f, 0.00836878069f, 0.00138144712f};
  // 2 atanh(s) = 2 s + s^3 Q(s^2), 0 <= s <= 1/3, to 5e-9.
  static constexpr float kAtanh[] = {0.666664132f, 0.400216978f, 0.279991594f, 0.280243785f};
};

template <>
struct MathConstants<double> {
  static constexpr int kMantissaBits = 52;
  static constexpr int64_t kOne = int64_t{1023} << 52;
  static constexpr double kRound = 0x1.8p52;
  static constexpr double kLowest = -707.0;
  static constexpr double kLeastSquare = 0x1p-900;
  static constexpr double kLn2High = 0x1.62e42fefap-1, kLn2Low = 0x1.cf79abc9e3b39p-40;
  // To 4e-18 and 2e-18.
  static constexpr double kExp[] = {0.500000000000001072,    0.166666666666664102,   0.0416666666665291931,
                                    0.00833333333349562671,  0.00138888889439214431, 0.000198412695047516968,
                                    0.000024801492763984094, 2.75575873574976221e-6, 2.76303782248859906e-7,
                                    2.4999960214551812e-8};
  static constexpr double kAtanh[] = {
      0.66666666666666304,  0.400000000001571757, 0.285714285478609123, 0.222222239693582463,  0.181817439363655597,
      0.153865597074313075, 0.133009761256291489, 0.121060680222382076, 0.0834017453741797958, 0.170184501508660536};
};

template <class Vector, class T, int kTerms>
inline Vector polynomial(Vector x, const T (&coefficients)[kTerms]) {
  Vector sum = splat<Vector>(coefficients[kTerms - 1]);
#pragma GCC unroll 16
  for (int i = kTerms - 2; i >= 0; --i) sum = sum * x + coefficients[i];
  return sum;
}

// e^x for x <= 0; below kLowest that of kLowest.
template <class S>
inline typename S::Vector exp_of_negative(typename S::Vector x) {
  using Constants = MathConstants<typename S::T>;
  using Vector = typename S::Vector;
  constexpr typename S::T kLog2E = 1.44269504088896340736;
  x = x < Constants::kLowest ? splat<Vector>(Constants::kLowest) : x;
  const Vector shifted = x * kLog2E + Constants::kRound;
  const Vector power = shifted - Constants::kRound;
  const Vector r = x - power * Constants::kLn2High - power * Constants::kLn2Low;
  const Vector scale =
      bits_as<Vector>((bits_as<typename S::Mask>(shifted) << Constants::kMantissaBits) + Constants::kOne);
  return (1 + (r + r * r * polynomial(r, Constants::kExp))) * scale;
}

// 2 atanh(s) = log((1 + s) / (1 - s)), 0 <= s <= 1/3. Where s is small its powers do not matter, and must not be
// subnormal numbers, which some CPUs take a hundred cycles for: kLeastSquare, and no cube of s.
template <class S>
inline typename S::Vector twice_atanh(typename S::Vector s) {
  using Constants = MathConstants<typename S::T>;
  const typename S::Vector square = s * s + Constants::kLeastSquare;
  return s * (2 + square * polynomial(square, Constants::kAtanh));
}

// log(1 + x) for 0 <= x < the largest power of two.
template <class S>
inline typename S::Vector log1p(typename S::Vector x) {
  using Constants = MathConstants<typename S::T>;
  using Vector = typename S::Vector;
  using Mask = typename S::Mask;
  constexpr typename S::T kLn2 = 0.693147180559945309417;
  const Vector y = 1 + x;
  // y = 2^power * m with 1 <= m < 2; `exponent` holds the power in the place of the exponent bits.
  const Mask one = splat<Mask>(Constants::kOne);
  const Mask exponent = ((bits_as<Mask>(y) >> Constants::kMantissaBits) << Constants::kMantissaBits) - one;
  const Vector scale = bits_as<Vector>(one - exponent);
  const Vector power =
      bits_as<Vector>((exponent >> Constants::kMantissaBits) + bits_as<Mask>(splat<Vector>(Constants::kRound))) -
      Constants::kRound;
  // m - 1, with what the rounding of 1 + x lost.
  const Vector f = (y * scale - 1) + (x - (y - 1)) * scale;
  return power * kLn2 + twice_atanh<S>(f / (2 + f));
}

}  // namespace
}  // namespace hashkernels
