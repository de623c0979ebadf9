// A tile of pairs: inner products, the loss and its slope, gradients. The two gradients are matrix products like the
// first one, so one register-blocked product does all three.
#pragma once

#include "pairwise_math.hpp"
#include "pairwise_vector.hpp"

namespace hashkernels {
namespace {

// Element (r, k) of a matrix lies at data[r * row_step + k * step].
template <class T>
struct Factor {
  const T* data;
  int64_t row_step, step;
};

// out[r][0 .. kVectors vectors) (+)= sum over k < depth of a(r, k) * b[k][same columns], for kRows rows.
// The sum starts from zero even where it is added: shorter runs of additions lose less.
template <class S, int kRows, int kVectors>
void multiply_block(typename S::T* out, int64_t out_stride, Factor<typename S::T> a, const typename S::T* b,
                    int64_t b_stride, int64_t depth, bool add) {
  using Vector = typename S::Vector;
  Vector sum[kRows][kVectors] = {};
  for (int64_t k = 0; k < depth; ++k) {
    Vector x[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) x[v] = load<Vector>(b + k * b_stride + v * S::kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const typename S::T factor = a.data[r * a.row_step + k * a.step];
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) sum[r][v] += factor * x[v];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      typename S::T* place = out + r * out_stride + v * S::kLanes;
      store(place, add ? load<Vector>(place) + sum[r][v] : sum[r][v]);
    }
  }
}

// The same for `rows` rows, 0 <= rows <= kRows.
template <class S, int kRows, int kVectors>
void multiply_rows(int rows, typename S::T* out, int64_t out_stride, Factor<typename S::T> a, const typename S::T* b,
                   int64_t b_stride, int64_t depth, bool add) {
  if constexpr (kRows > 0) {
    if (rows == kRows) {
      multiply_block<S, kRows, kVectors>(out, out_stride, a, b, b_stride, depth, add);
    } else {
      multiply_rows<S, kRows - 1, kVectors>(rows, out, out_stride, a, b, b_stride, depth, add);
    }
  }
}

// The same for any number of rows and kVectors vectors of columns.
template <class S, int kVectors>
void multiply_columns(int rows, typename S::T* out, int64_t out_stride, Factor<typename S::T> a, const typename S::T* b,
                      int64_t b_stride, int64_t depth, bool add) {
  int r = 0;
  for (; r + S::kRows <= rows; r += S::kRows) {
    multiply_block<S, S::kRows, kVectors>(out + r * out_stride, out_stride,
                                          {a.data + r * a.row_step, a.row_step, a.step}, b, b_stride, depth, add);
  }
  multiply_rows<S, S::kRows - 1, kVectors>(rows - r, out + r * out_stride, out_stride,
                                           {a.data + r * a.row_step, a.row_step, a.step}, b, b_stride, depth, add);
}

// The last columns of a product: fewer than kVectors + 1 vectors.
template <class S, int kVectors>
void multiply_last_columns(int64_t vectors, int rows, typename S::T* out, int64_t out_stride, Factor<typename S::T> a,
                           const typename S::T* b, int64_t b_stride, int64_t depth, bool add) {
  if constexpr (kVectors > 0) {
    if (vectors == kVectors) {
      multiply_columns<S, kVectors>(rows, out, out_stride, a, b, b_stride, depth, add);
    } else {
      multiply_last_columns<S, kVectors - 1>(vectors, rows, out, out_stride, a, b, b_stride, depth, add);
    }
  }
}

// out[r][c] (+)= sum over k < depth of a(r, k) * b[k][c] for rows x columns; columns is a whole number of vectors.
template <class S>
void multiply(int rows, int64_t columns, typename S::T* out, int64_t out_stride, Factor<typename S::T> a,
              const typename S::T* b, int64_t b_stride, int64_t depth, bool add) {
  constexpr int64_t kStep = S::kVectors * S::kLanes;
  int64_t c = 0;
  for (; c + kStep <= columns; c += kStep) {
    multiply_columns<S, S::kVectors>(rows, out + c, out_stride, a, b + c, b_stride, depth, add);
  }
  multiply_last_columns<S, S::kVectors - 1>((columns - c) / S::kLanes, rows, out + c, out_stride, a, b + c, b_stride,
                                            depth, add);
}

// theta[column][row] = inner product. Long rows go in runs of bits whose transposed part stays in the first cache.
template <class S>
void inner_products(const PairwiseTile<typename S::T>& tile, typename S::T* theta) {
  constexpr int64_t kRun = 32768 / (kPairTile * sizeof(typename S::T));
  for (int64_t first = 0; first < tile.bits; first += kRun) {
    const int64_t depth = tile.bits - first < kRun ? tile.bits - first : kRun;
    multiply<S>(tile.num_columns, kPairTile, theta, kPairTile, {tile.columns + first, tile.column_stride, 1},
                tile.rows_transposed + first * kPairTile, kPairTile, depth, first > 0);
  }
}

template <class S>
void add_gradients(const PairwiseTile<typename S::T>& tile, const typename S::T* slopes) {
  if (tile.row_grad != nullptr) {
    multiply<S>(tile.num_rows, tile.padded_bits, tile.row_grad, tile.grad_stride, {slopes, 1, kPairTile}, tile.columns,
                tile.column_stride, tile.num_columns, true);
  }
  if (tile.column_grad != nullptr) {
    multiply<S>(tile.num_columns, tile.padded_bits, tile.column_grad, tile.grad_stride, {slopes, kPairTile, 1},
                tile.rows, tile.row_stride, tile.num_rows, true);
  }
}

// Which of the rows first .. first + kVectors * kLanes are relevant to a column: those of the same class...
template <class S>
class SameClass {
 public:
  using Mask = typename S::Mask;

  SameClass(const PairwiseTile<typename S::T>& tile, int first) : columns_(tile.column_labels) {
    for (int v = 0; v < S::kVectors; ++v) rows_[v] = load<Mask>(tile.row_labels + first + v * S::kLanes);
  }

  Mask operator()(int v, int column) const { return rows_[v] == columns_[column]; }

 private:
  Mask rows_[S::kVectors];
  const typename S::Int* columns_;
};

// ... or those that share a class.
template <class S>
class CommonClass {
 public:
  using Mask = typename S::Mask;

  CommonClass(const PairwiseTile<typename S::T>& tile, int first)
      : rows_(tile.row_labels + first), columns_(tile.column_labels), num_planes_(tile.num_planes) {}

  Mask operator()(int v, int column) const {
    Mask common{};
    for (int plane = 0; plane < num_planes_; ++plane) {
      common |= load<Mask>(rows_ + plane * kPairTile + v * S::kLanes) & columns_[plane * kPairTile + column];
    }
    return common != 0;
  }

 private:
  const typename S::Int* rows_;
  const typename S::Int* columns_;
  int num_planes_;
};

template <class S>
struct Loss {
  typename S::Vector value, slope;
};

template <class S>
struct Margin {
  using Vector = typename S::Vector;
  Vector positive, negative;

  explicit Margin(const PairParameters<typename S::T>& p)
      : positive(splat<Vector>(p.positive_margin)), negative(splat<Vector>(p.negative_margin)) {}

  Loss<S> operator()(Vector theta, typename S::Mask relevant) const {
    const Vector x = positive_part<Vector>(relevant ? positive - theta : theta - negative);
    return {x * x, x};
  }
};

template <class S>
struct Likelihood {
  using Vector = typename S::Vector;
  Vector scale;

  explicit Likelihood(const PairParameters<typename S::T>& p) : scale(splat<Vector>(p.scale)) {}

  // softplus(z) = max(0, z) + log(1 + e), e = exp(-|z|), log(1 + e) = 2 atanh(e / (2 + e)); its slope is the logistic
  // function, 1 / (1 + e) or e / (1 + e). One division serves both.
  Loss<S> operator()(Vector theta, typename S::Mask relevant) const {
    const Vector scaled = scale * theta;
    const Vector z = relevant ? -scaled : scaled;
    const Vector e = exp_of_negative<S>(z > 0 ? -z : z);
    const Vector y = 1 + e;
    const Vector reciprocal = 1 / (y * (1 + y));
    const Vector logistic = (1 + y) * reciprocal;
    return {positive_part(z) + twice_atanh<S>(e * y * reciprocal), z < 0 ? e * logistic : logistic};
  }
};

template <class S>
struct Cauchy {
  using Vector = typename S::Vector;
  Vector gamma, scale, min_distance;

  explicit Cauchy(const PairParameters<typename S::T>& p)
      : gamma(splat<Vector>(p.gamma)), scale(splat<Vector>(p.scale)), min_distance(splat<Vector>(p.min_distance)) {}

  Loss<S> operator()(Vector theta, typename S::Mask relevant) const {
    const Vector free = scale * (1 - theta);  // in this order: near theta = 1 the difference is exact
    const Vector distance = free < min_distance ? min_distance : free;
    const Vector ratio = (relevant ? distance : gamma) / (relevant ? gamma : distance);
    const Vector reciprocal = 1 / (gamma + distance);
    const Vector slope = relevant ? reciprocal : reciprocal * ratio;
    return {log1p<S>(ratio), free < min_distance ? Vector{} : slope};
  }
};

template <class S>
inline double sum_lanes(const typename S::Vector (&vectors)[S::kVectors]) {
  typename S::Vector sum = vectors[0];
  for (int v = 1; v < S::kVectors; ++v) sum += vectors[v];
  double total = 0;
  for (int lane = 0; lane < S::kLanes; ++lane) total += sum[lane];
  return total;
}

// Turns inner products into slopes, in place, and adds up the losses. kMasked: some lanes are no pair.
template <class S, class Relevance, bool kMasked, class Function>
void apply(const PairwiseTile<typename S::T>& tile, const PairParameters<typename S::T>& parameters,
           typename S::T* theta, double* sums) {
  using Vector = typename S::Vector;
  using Mask = typename S::Mask;
  constexpr int kVectors = S::kVectors;
  const Function function(parameters);
  const Vector positive_slope = splat<Vector>(parameters.positive_slope);
  const Vector negative_slope = splat<Vector>(parameters.negative_slope);
  Mask lane{};
  for (int i = 0; i < S::kLanes; ++i) lane[i] = i;
  for (int first = 0; first < tile.num_rows; first += kVectors * S::kLanes) {
    const Relevance relevance(tile, first);
    Vector positive[kVectors] = {}, negative[kVectors] = {};
    for (int column = 0; column < tile.num_columns; ++column) {
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        const int row = first + v * S::kLanes;
        const Mask relevant = relevance(v, column);
        typename S::T* place = theta + column * kPairTile + row;
        Loss<S> loss = function(load<Vector>(place), relevant);
        if constexpr (kMasked) {
          Mask counts = lane < tile.num_rows - row;
          if (tile.diagonal) counts &= lane != column - row;
          loss.value = counts ? loss.value : Vector{};
          loss.slope = counts ? loss.slope : Vector{};
        }
        positive[v] += relevant ? loss.value : Vector{};
        negative[v] += relevant ? Vector{} : loss.value;
        store(place, (relevant ? positive_slope : negative_slope) * loss.slope);
      }
    }
    sums[0] += sum_lanes<S>(positive);
    sums[1] += sum_lanes<S>(negative);
  }
}

template <class S, class Function>
void evaluate(const PairwiseTile<typename S::T>& tile, const PairParameters<typename S::T>& parameters, double* sums) {
  alignas(kPairLineBytes) typename S::T theta[kPairTile * kPairTile];
  inner_products<S>(tile, theta);
  const bool masked = tile.diagonal || tile.num_rows < kPairTile;
  if (tile.multi_hot) {
    masked ? apply<S, CommonClass<S>, true, Function>(tile, parameters, theta, sums)
           : apply<S, CommonClass<S>, false, Function>(tile, parameters, theta, sums);
  } else {
    masked ? apply<S, SameClass<S>, true, Function>(tile, parameters, theta, sums)
           : apply<S, SameClass<S>, false, Function>(tile, parameters, theta, sums);
  }
  add_gradients<S>(tile, theta);
}

// Relevant pairs; the driver counts equal ids by itself.
template <class S>
void count_relevant(const PairwiseTile<typename S::T>& tile, double* sums) {
  using Mask = typename S::Mask;
  int64_t count = 0;
  for (int first = 0; first < tile.num_rows; first += S::kVectors * S::kLanes) {
    const CommonClass<S> relevance(tile, first);
    Mask relevant[S::kVectors] = {};
    for (int column = 0; column < tile.num_columns; ++column) {
#pragma GCC unroll 8
      for (int v = 0; v < S::kVectors; ++v) relevant[v] += relevance(v, column);
    }
    // Rows past the end have no classes.
    for (int v = 0; v < S::kVectors; ++v) {
      for (int lane = 0; lane < S::kLanes; ++lane) count -= relevant[v][lane];
    }
  }
  if (tile.diagonal) {
    for (int row = 0; row < tile.num_rows; ++row) {
      bool itself = false;
      for (int plane = 0; plane < tile.num_planes; ++plane) itself |= tile.row_labels[plane * kPairTile + row] != 0;
      count -= itself;
    }
  }
  sums[0] += static_cast<double>(count);
}

template <class S>
void pairwise_tile(const PairwiseTile<typename S::T>& tile, const PairParameters<typename S::T>& parameters,
                   double* sums) {
  switch (parameters.function) {
    case PairFunction::kRelevance:
      return count_relevant<S>(tile, sums);
    case PairFunction::kMargin:
      return evaluate<S, Margin<S>>(tile, parameters, sums);
    case PairFunction::kLikelihood:
      return evaluate<S, Likelihood<S>>(tile, parameters, sums);
    case PairFunction::kCauchy:
      return evaluate<S, Cauchy<S>>(tile, parameters, sums);
  }
}

}  // namespace
}  // namespace hashkernels
