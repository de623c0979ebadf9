// Embeddings and gradients in the form in which tiles of pairs read and write them: rows of whole cache lines, so that
// no kernel needs a narrower vector at the end of a row.
#pragma once

#include <cstdint>

#include "hashkernels/pairwise.h"
#include "pairwise_kernels.hpp"
#include "parallel.hpp"

namespace hashkernels {

inline int64_t num_pair_tiles(int64_t items) { return (items + kPairTile - 1) / kPairTile; }

template <class T>
int64_t padded_bits(int64_t bits) {
  constexpr int64_t kLine = kPairLineBytes / sizeof(T);
  return (bits + kLine - 1) / kLine * kLine;
}

// Copies rows first .. first + count to out, padded bits apart, zeros at their ends.
template <class T>
void copy_padded(const Embeddings<T>& rows, int64_t bits, int64_t first, int64_t count, T* out);

// u as tiles see it. Rows that need no padding are read where they lie.
template <class T>
class PairRows {
 public:
  bool allocate(const Embeddings<T>& u, int64_t bits) noexcept;

  // Must come before the rows of a tile are read; tiles may be prepared at the same time.
  void prepare(int64_t tile) noexcept;

  const T* row(int64_t index) const { return rows_ + index * stride_; }
  int64_t stride() const { return stride_; }
  const T* transposed(int64_t tile) const { return transposed_.data() + tile * kPairTile * width_; }

 private:
  Embeddings<T> u_{};
  const T* rows_ = nullptr;
  int64_t bits_ = 0, stride_ = 0, width_ = 0;
  Buffer<T> padded_, transposed_;
};

// The gradient, or several that are added up at the end in their order.
template <class T>
class PairGradients {
 public:
  bool allocate(T* grad, int64_t num_rows, int64_t bits, int64_t copies) noexcept;

  // Zeros rows first .. first + count of a copy; every row needs it once before it is added to.
  void clear(int64_t copy, int64_t first, int64_t count) noexcept;

  // Row `row` of a copy; null where no gradient is wanted.
  T* row(int64_t copy, int64_t row) const {
    return start_ == nullptr ? nullptr : start_ + (copy * num_rows_ + row) * stride_;
  }
  int64_t stride() const { return stride_; }

  // Writes the sum of the copies to the caller's gradient.
  void finish() noexcept;

 private:
  T* grad_ = nullptr;
  T* start_ = nullptr;
  int64_t num_rows_ = 0, bits_ = 0, stride_ = 0, copies_ = 0;
  Buffer<T> workspace_;
};

}  // namespace hashkernels
