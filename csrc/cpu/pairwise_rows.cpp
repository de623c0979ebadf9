#include "pairwise_rows.hpp"

#include <algorithm>

namespace hashkernels {

template <class T>
void copy_padded(const Embeddings<T>& rows, int64_t bits, int64_t first, int64_t count, T* out) {
  const int64_t width = padded_bits<T>(bits);
  for (int64_t r = 0; r < count; ++r) {
    std::copy_n(rows.data + (first + r) * rows.stride, bits, out + r * width);
    std::fill(out + r * width + bits, out + (r + 1) * width, T{0});
  }
}

template <class T>
bool PairRows<T>::build(const Embeddings<T>& u, int64_t bits) noexcept {
  bits_ = bits;
  rows_ = u.data;
  stride_ = u.stride;
  if (padded_bits<T>(bits) != bits) {
    stride_ = padded_bits<T>(bits);
    if (!padded_.allocate(u.num_rows * stride_)) return false;
    copy_padded(u, bits, 0, u.num_rows, padded_.data());
    rows_ = padded_.data();
  }
  const int64_t tiles = num_pair_tiles(u.num_rows);
  if (!transposed_.allocate(tiles * kPairTile * bits)) return false;
  for (int64_t tile = 0; tile < tiles; ++tile) {
    T* out = transposed_.data() + tile * kPairTile * bits;
    const int64_t count = std::min<int64_t>(kPairTile, u.num_rows - tile * kPairTile);
    if (count < kPairTile) std::fill_n(out, kPairTile * bits, T{0});
    for (int64_t r = 0; r < count; ++r) {
      const T* values = row(tile * kPairTile + r);
      for (int64_t bit = 0; bit < bits; ++bit) out[bit * kPairTile + r] = values[bit];
    }
  }
  return true;
}

template <class T>
bool PairGradients<T>::build(T* grad, int64_t num_rows, int64_t bits, int64_t copies) noexcept {
  if (grad == nullptr) return true;
  grad_ = grad;
  num_rows_ = num_rows;
  bits_ = bits;
  copies_ = copies;
  stride_ = padded_bits<T>(bits);
  const int64_t size = copies * num_rows * stride_;
  if (copies > 1 || stride_ != bits) {
    if (!workspace_.allocate(size)) return false;
    start_ = workspace_.data();
  } else {
    start_ = grad;
  }
  std::fill_n(start_, size, T{0});
  return true;
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
