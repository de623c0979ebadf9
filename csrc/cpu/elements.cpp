#include "hashkernels/elements.h"

#include <algorithm>

#include "kernels.hpp"
#include "parallel.hpp"

namespace hashkernels {
namespace {

// Values that a task takes: few enough that its sums are exact to the last digits of T.
constexpr int64_t kValuesPerTask = 1024;

// Below this many tasks, waking a thread costs more than it saves.
constexpr int64_t kSerialTasks = 32;

template <class T>
const ElementKernels<T>& element_kernels(const Kernels& isa) {
  if constexpr (sizeof(T) == sizeof(float)) {
    return *isa.elements_f32;
  } else {
    return *isa.elements_f64;
  }
}

}  // namespace

template <class T>
Status element_loss(const T* u, const int8_t* targets, int64_t count, const ElementTerm* terms, int num_terms,
                    double* sums, T* grad, int num_threads) noexcept {
  const int64_t num_tasks = (count + kValuesPerTask - 1) / kValuesPerTask;
  Buffer<double> task_sums(num_tasks * num_terms);
  if (!task_sums) return Status::kOutOfMemory;
  const ElementKernels<T>& all = element_kernels<T>(kernels());
  const Status status = parallel_for(num_tasks, num_tasks < kSerialTasks ? 1 : num_threads, [&](int64_t task, int) {
    const int64_t first = task * kValuesPerTask, size = std::min(kValuesPerTask, count - first);
    T* const own = grad == nullptr ? nullptr : grad + first;
    if (own != nullptr) std::fill_n(own, size, T{0});
    for (int i = 0; i < num_terms; ++i) {
      task_sums[task * num_terms + i] = all.of[static_cast<int>(terms[i].function)](
          {u + first, targets == nullptr ? nullptr : targets + first, size, static_cast<T>(terms[i].parameter),
           static_cast<T>(terms[i].weight), own});
    }
  });
  for (int i = 0; i < num_terms; ++i) {
    double sum = 0;
    for (int64_t task = 0; task < num_tasks; ++task) sum += task_sums[task * num_terms + i];
    sums[i] = terms[i].weight * sum;
  }
  return status;
}

template Status element_loss(const float*, const int8_t*, int64_t, const ElementTerm*, int, double*, float*,
                             int) noexcept;
template Status element_loss(const double*, const int8_t*, int64_t, const ElementTerm*, int, double*, double*,
                             int) noexcept;

}  // namespace hashkernels
