#include "pairwise_rows.hpp"

#include <algorithm>
#include <cstring>

namespace hashkernels {
namespace {

typedef float Floats __attribute__((vector_size(16)));
typedef double Doubles __attribute__((vector_size(16)));

// Transposes 16 bytes of as many rows.
void transpose_block(const float* in, int64_t stride, float* out) {
  Floats rows[4];
  for (int r = 0; r < 4; ++r) std::memcpy(&rows[r], in + r * stride, sizeof(Floats));
  const Floats low01 = __builtin_shufflevector(rows[0], rows[1], 0, 4, 1, 5);
  const Floats low23 = __builtin_shufflevector(rows[2], rows[3], 0, 4, 1, 5);
  const Floats high01 = __builtin_shufflevector(rows[0], rows[1], 2, 6, 3, 7);
  const Floats high23 = __builtin_shufflevector(rows[2], rows[3], 2, 6, 3, 7);
  const Floats columns[4] = {
      __builtin_shufflevector(low01, low23, 0, 1, 4, 5), __builtin_shufflevector(low01, low23, 2, 3, 6, 7),
      __builtin_shufflevector(high01, high23, 0, 1, 4, 5), __builtin_shufflevector(high01, high23, 2, 3, 6, 7)};
  for (int c = 0; c < 4; ++c) std::memcpy(out + c * kPairTile, &columns[c], sizeof(Floats));
}

void transpose_block(const double* in, int64_t stride, double* out) {
  Doubles rows[2];
  for (int r = 0; r < 2; ++r) std::memcpy(&rows[r], in + r * stride, sizeof(Doubles));
  const Doubles columns[2] = {__builtin_shufflevector(rows[0], rows[1], 0, 2),
                              __builtin_shufflevector(rows[0], rows[1], 1, 3)};
  for (int c = 0; c < 2; ++c) std::memcpy(out + c * kPairTile, &columns[c], sizeof(Doubles));
}

// out[bit][row] of a tile of `count` rows of whole cache lines; zeros past the last row.
template <class T>
void transpose_tile(const T* rows, int64_t stride, int64_t count, int64_t width, T* out) {
  constexpr int64_t kSide = 16 / sizeof(T);
  if (count < kPairTile) std::fill_n(out, kPairTile * width, T{0});
  int64_t r = 0;
  for (; r + kSide <= count; r += kSide) {
    for (int64_t bit = 0; bit < width; bit += kSide) {
      transpose_block(rows + r * stride + bit, stride, out + bit * kPairTile + r);
    }
  }
  for (; r < count; ++r) {
    for (int64_t bit = 0; bit < width; ++bit) out[bit * kPairTile + r] = rows[r * stride + bit];
  }
}

}  // namespace

template <class T>
void copy_padded(const Embeddings<T>& rows, int64_t bits, int64_t first, int64_t count, T* out) {
  const int64_t width = padded_bits<T>(bits);
  for (int64_t r = 0; r < count; ++r) {
    std::copy_n(rows.data + (first + r) * rows.stride, bits, out + r * width);
    std::fill(out + r * width + bits, out + (r + 1) * width, T{0});
  }
}

template <class T>
bool PairRows<T>::allocate(const Embeddings<T>& u, int64_t bits) noexcept {
  u_ = u;
  bits_ = bits;
  width_ = padded_bits<T>(bits);
  rows_ = u.data;
  stride_ = u.stride;
  if (width_ != bits) {
    stride_ = width_;
    if (!padded_.allocate(u.num_rows * width_)) return false;
    rows_ = padded_.data();
  }
  return transposed_.allocate(num_pair_tiles(u.num_rows) * kPairTile * width_);
}

template <class T>
void PairRows<T>::prepare(int64_t tile) noexcept {
  const int64_t first = tile * kPairTile, count = std::min<int64_t>(kPairTile, u_.num_rows - first);
  if (width_ != bits_) copy_padded(u_, bits_, first, count, padded_.data() + first * width_);
  transpose_tile(row(first), stride_, count, width_, transposed_.data() + first * width_);
}

template <class T>
bool PairGradients<T>::allocate(T* grad, int64_t num_rows, int64_t bits, int64_t copies) noexcept {
  if (grad == nullptr) return true;
  grad_ = grad;
  num_rows_ = num_rows;
  bits_ = bits;
  copies_ = copies;
  stride_ = padded_bits<T>(bits);
  start_ = grad;
  if (copies > 1 || stride_ != bits) {
    if (!workspace_.allocate(copies * num_rows * stride_)) return false;
    start_ = workspace_.data();
  }
  return true;
}

template <class T>
void PairGradients<T>::clear(int64_t copy, int64_t first, int64_t count) noexcept {
  if (start_ != nullptr) std::fill_n(row(copy, first), count * stride_, T{0});
}

template <class T>
void PairGradients<T>::finish() noexcept {
  if (start_ == grad_) return;
  for (int64_t r = 0; r < num_rows_; ++r) {
    T* out = grad_ + r * bits_;
    std::copy_n(row(0, r), bits_, out);
    for (int64_t copy = 1; copy < copies_; ++copy) {
      const T* part = row(copy, r);
      for (int64_t bit = 0; bit < bits_; ++bit) out[bit] += part[bit];
    }
  }
}

template void copy_padded<float>(const Embeddings<float>&, int64_t, int64_t, int64_t, float*);
template void copy_padded<double>(const Embeddings<double>&, int64_t, int64_t, int64_t, double*);
template class PairRows<float>;
template class PairRows<double>;
template class PairGradients<float>;
template class PairGradients<double>;

}  // namespace hashkernels
