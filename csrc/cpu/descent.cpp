#include "hashkernels/descent.h"

#include <algorithm>

#include "hashkernels/codes.h"
#include "parallel.hpp"

namespace hashkernels {
namespace {

constexpr int64_t kItemsPerTask = 64;
constexpr int kChunk = 16;  // columns of the field that stay in registers

// field[l] = pull[l] - sum over j of code[j] * gram[j][l], for the kColumns columns from `first` on.
template <int kColumns, class T>
void begin_field(const T* pull, const T* gram, const T* code, int bits, int first, T* field) {
  T sum[kColumns];
  for (int l = 0; l < kColumns; ++l) sum[l] = pull[first + l];
  for (int j = 0; j < bits; ++j) {
    const T* row = gram + static_cast<int64_t>(j) * bits + first;
    for (int l = 0; l < kColumns; ++l) sum[l] -= code[j] * row[l];
  }
  for (int l = 0; l < kColumns; ++l) field[first + l] = sum[l];
}

template <class T>
void descend(const T* pull, const T* gram, int bits, int sweeps, int8_t* out) {
  T code[kMaxBits], field[kMaxBits];
  for (int l = 0; l < bits; ++l) code[l] = out[l];
  int first = 0;
  for (; first + kChunk <= bits; first += kChunk) begin_field<kChunk>(pull, gram, code, bits, first, field);
  for (; first < bits; ++first) begin_field<1>(pull, gram, code, bits, first, field);
  bool turned = true;
  for (int sweep = 0; sweep < sweeps && turned; ++sweep) {
    turned = false;
    for (int l = 0; l < bits; ++l) {
      const T* row = gram + static_cast<int64_t>(l) * bits;
      const T wish = field[l] + code[l] * row[l];
      if (!(wish * code[l] < 0)) continue;
      const T twice = code[l] * 2;
      for (int j = 0; j < bits; ++j) field[j] += twice * row[j];
      code[l] = -code[l];
      turned = true;
    }
  }
  for (int l = 0; l < bits; ++l) out[l] = static_cast<int8_t>(code[l]);
}

}  // namespace

template <class T>
Status discrete_descent(const T* pull, const T* gram, int64_t num_items, int bits, int sweeps, int8_t* codes,
                        int num_threads) noexcept {
  const int64_t num_tasks = (num_items + kItemsPerTask - 1) / kItemsPerTask;
  return parallel_for(num_tasks, num_threads, [&](int64_t task, int) {
    const int64_t last = std::min((task + 1) * kItemsPerTask, num_items);
    for (int64_t item = task * kItemsPerTask; item < last; ++item) {
      descend(pull + item * bits, gram, bits, sweeps, codes + item * bits);
    }
  });
}

template Status discrete_descent(const float*, const float*, int64_t, int, int, int8_t*, int) noexcept;
template Status discrete_descent(const double*, const double*, int64_t, int, int, int8_t*, int) noexcept;

}  // namespace hashkernels
