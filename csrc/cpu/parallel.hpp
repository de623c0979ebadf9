// parallel_for over a lambda, and the allocation that kernels use for workspaces.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <type_traits>

#include "hashkernels/threads.h"

namespace hashkernels {

// body(index, worker); see threads.h.
template <class Body>
Status parallel_for(int64_t num_tasks, int num_threads, Body&& body) noexcept {
  using Plain = std::remove_reference_t<Body>;
  return parallel_for(
      num_tasks, num_threads,
      [](void* context, int64_t index, int worker) { (*static_cast<Plain*>(context))(index, worker); },
      const_cast<void*>(static_cast<const void*>(&body)));
}

// Uninitialised memory for `count` values, aligned to a cache line; null data where there is none to be had.
template <class T>
class Buffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  Buffer() = default;
  explicit Buffer(size_t count) noexcept { allocate(count); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { std::free(data_); }

  bool allocate(size_t count) noexcept {
    std::free(data_);
    const size_t bytes = (count * sizeof(T) + 63) / 64 * 64;
    data_ = static_cast<T*>(std::aligned_alloc(64, bytes == 0 ? 64 : bytes));
    return data_ != nullptr;
  }

  explicit operator bool() const { return data_ != nullptr; }
  T* data() { return data_; }
  const T* data() const { return data_; }
  T& operator[](size_t index) { return data_[index]; }
  const T& operator[](size_t index) const { return data_[index]; }

 private:
  T* data_ = nullptr;
};

}  // namespace hashkernels
