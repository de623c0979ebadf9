#include "hashkernels/surrogate.h"

#include <algorithm>
#include <cmath>

#include "kernels.hpp"
#include "parallel.hpp"

namespace hashkernels {
namespace {

// Items of one block that a task takes. Sums over items are those of the tasks, added up in their order.
constexpr int64_t kItemsPerTask = 64;

// Below this many elements, waking a thread costs more than it saves.
constexpr int64_t kSerialElements = 1 << 14;

template <class T>
const SurrogateKernels<T>& surrogate_kernels(const Kernels& isa) {
  if constexpr (sizeof(T) == sizeof(float)) {
    return *isa.surrogate_f32;
  } else {
    return *isa.surrogate_f64;
  }
}

// A run of items of one block.
struct Part {
  int64_t block, first, count;
};

struct Parts {
  int64_t num_blocks, num_items;

  int64_t per_block() const { return (num_items + kItemsPerTask - 1) / kItemsPerTask; }
  int64_t count() const { return num_blocks * per_block(); }
  Part operator[](int64_t task) const {
    const int64_t first = task % per_block() * kItemsPerTask;
    return {task / per_block(), first, std::min(kItemsPerTask, num_items - first)};
  }
  int threads(int64_t row_elements, int num_threads) const {
    return num_blocks * num_items * row_elements < kSerialElements ? 1 : std::max(num_threads, 1);
  }
};

template <class T>
int64_t padded(int64_t hidden) {
  constexpr int64_t kLine = kSurrogateLineBytes / sizeof(T);
  return (hidden + kLine - 1) / kLine * kLine;
}

// The weights of all blocks as [num_blocks][size][padded], so that vectors run along the hidden units.
template <class T>
bool transpose(const HiddenLayer<T>& layer, Buffer<T>& out) {
  const int64_t width = padded<T>(layer.hidden);
  if (!out.allocate(layer.num_blocks * layer.size * width)) return false;
  for (int64_t k = 0; k < layer.num_blocks; ++k) {
    const T* const from = layer.weight + k * layer.hidden * layer.size;
    for (int j = 0; j < layer.size; ++j) {
      T* const to = out.data() + (k * layer.size + j) * width;
      for (int64_t h = 0; h < layer.hidden; ++h) to[h] = from[h * layer.size + j];
      std::fill(to + layer.hidden, to + width, T{0});
    }
  }
  return true;
}

}  // namespace

template <class T>
Status hidden_units(const HiddenLayer<T>& layer, const T* bias, const uint64_t* kept, T scale, T* units, T* slope,
                    int num_threads) noexcept {
  const int64_t hidden = layer.hidden, width = padded<T>(hidden), num_words = (hidden + 63) / 64;
  Buffer<T> weights, biases(layer.num_blocks * width);
  if (!biases || !transpose(layer, weights)) return Status::kOutOfMemory;
  for (int64_t k = 0; k < layer.num_blocks; ++k) {
    std::copy_n(bias + k * hidden, hidden, biases.data() + k * width);
    std::fill_n(biases.data() + k * width + hidden, width - hidden, T{0});
  }
  const auto kernel = surrogate_kernels<T>(kernels()).hidden;
  const Parts parts{layer.num_blocks, layer.num_items};
  return parallel_for(parts.count(), parts.threads(hidden, num_threads), [&](int64_t task, int) {
    const auto [block, first, count] = parts[task];
    const int64_t row = block * layer.num_items + first;
    kernel({
        .x = layer.x + block * layer.block_stride + first * layer.item_stride,
        .item_stride = layer.item_stride,
        .weight = weights.data() + block * layer.size * width,
        .bias = biases.data() + block * width,
        .num_items = count,
        .hidden = hidden,
        .padded = width,
        .size = layer.size,
        .kept = kept == nullptr ? nullptr : kept + row * num_words,
        .scale = scale,
        .units = units + row * hidden,
        .slope = slope + row * hidden,
    });
  });
}

template <class T>
Status pattern_errors(const Patterns& patterns, const T* logits, const T* weights, T* errors, double* nll,
                      int num_threads) noexcept {
  const Parts parts{patterns.num_blocks, patterns.num_items};
  Buffer<double> sums(2 * parts.count());
  if (!sums) return Status::kOutOfMemory;
  const auto kernel = surrogate_kernels<T>(kernels()).softmax;
  const int64_t width = patterns.num_patterns;
  const Status status = parallel_for(parts.count(), parts.threads(width, num_threads), [&](int64_t task, int) {
    const auto [block, first, count] = parts[task];
    const int64_t* const own = patterns.patterns + 2 * block * patterns.num_items + first;
    const int64_t* const target = own + patterns.num_items;
    const T* const rows = logits + (block * patterns.num_items + first) * width;
    T* const out = errors + (block * patterns.num_items + first) * width;
    T own_logits[kItemsPerTask], target_logits[kItemsPerTask], largest[kItemsPerTask], total[kItemsPerTask];
    for (int64_t n = 0; n < count; ++n) {
      own_logits[n] = rows[n * width + own[n]];
      target_logits[n] = rows[n * width + target[n]];
    }
    kernel({rows, count, width, out, largest, total});
    double own_sum = 0, target_sum = 0;
    for (int64_t n = 0; n < count; ++n) {
      const double log_total = std::log(static_cast<double>(total[n]));
      own_sum += log_total + (static_cast<double>(largest[n]) - own_logits[n]);
      const double weight = weights == nullptr ? 1.0 : static_cast<double>(weights[first + n]);
      target_sum += weight * (log_total + (static_cast<double>(largest[n]) - target_logits[n]));
      out[n * width + own[n]] -= 1;
    }
    sums[2 * task] = own_sum;
    sums[2 * task + 1] = target_sum;
  });
  nll[0] = nll[1] = 0;
  for (int64_t task = 0; task < parts.count(); ++task) {
    nll[0] += sums[2 * task];
    nll[1] += sums[2 * task + 1];
  }
  return status;
}

template <class T>
Status hidden_gradients(const HiddenLayer<T>& layer, const Patterns& patterns, const HiddenGradients<T>& gradients,
                        int num_threads) noexcept {
  const int64_t hidden = layer.hidden, width = padded<T>(hidden), size = layer.size;
  const Parts parts{layer.num_blocks, layer.num_items};
  const int threads = parts.threads(hidden, num_threads);
  const int64_t workers = std::max<int64_t>(std::min<int64_t>(threads, parts.count()), 1);
  const int64_t sum_elements = gradients.grad_weight == nullptr ? 0 : (size + 1) * width;
  Buffer<T> weights, at_hidden(workers * 2 * width), sums(parts.count() * sum_elements);
  if (!at_hidden || !sums || !transpose(layer, weights)) return Status::kOutOfMemory;
  const auto kernel = surrogate_kernels<T>(kernels()).gradients;
  const Status status = parallel_for(parts.count(), threads, [&](int64_t task, int worker) {
    const auto [block, first, count] = parts[task];
    const int64_t row = block * layer.num_items + first;
    T* const own_sums = sums.data() + task * sum_elements;
    std::fill_n(own_sums, sum_elements, T{0});
    const int64_t* const own = patterns.patterns + 2 * block * layer.num_items + first;
    kernel({
        .x = layer.x + block * layer.block_stride + first * layer.item_stride,
        .item_stride = layer.item_stride,
        .weight = weights.data() + block * size * width,
        .num_items = count,
        .hidden = hidden,
        .padded = width,
        .size = layer.size,
        .product = gradients.product + row * hidden,
        .slope = gradients.slope + row * hidden,
        .weight_out = gradients.weight_out + block * patterns.num_patterns * hidden,
        .own = own,
        .target = own + layer.num_items,
        .grad_x = gradients.grad_x == nullptr ? nullptr : gradients.grad_x + row * size,
        .grad_weight_and_bias = sum_elements == 0 ? nullptr : own_sums,
        .at_hidden = at_hidden.data() + worker * 2 * width,
    });
  });
  for (int64_t k = 0; sum_elements > 0 && k < layer.num_blocks; ++k) {
    T* const bias = gradients.grad_bias + k * hidden;
    T* const weight = gradients.grad_weight + k * hidden * size;
    std::fill_n(bias, hidden, T{0});
    std::fill_n(weight, hidden * size, T{0});
    for (int64_t part = 0; part < parts.per_block(); ++part) {
      const T* const sum = sums.data() + (k * parts.per_block() + part) * sum_elements;
      for (int64_t h = 0; h < hidden; ++h) {
        for (int64_t j = 0; j < size; ++j) weight[h * size + j] += sum[j * width + h];
        bias[h] += sum[size * width + h];
      }
    }
  }
  return status;
}

template Status hidden_units(const HiddenLayer<float>&, const float*, const uint64_t*, float, float*, float*,
                             int) noexcept;
template Status hidden_units(const HiddenLayer<double>&, const double*, const uint64_t*, double, double*, double*,
                             int) noexcept;
template Status pattern_errors(const Patterns&, const float*, const float*, float*, double*, int) noexcept;
template Status pattern_errors(const Patterns&, const double*, const double*, double*, double*, int) noexcept;
template Status hidden_gradients(const HiddenLayer<float>&, const Patterns&, const HiddenGradients<float>&,
                                 int) noexcept;
template Status hidden_gradients(const HiddenLayer<double>&, const Patterns&, const HiddenGradients<double>&,
                                 int) noexcept;

}  // namespace hashkernels
