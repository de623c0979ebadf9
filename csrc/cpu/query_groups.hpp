// Queries in groups, whose work may throw std::bad_alloc.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <new>

#include "parallel.hpp"

namespace hashkernels {

// Queries enough to hide each other's waits for memory.
inline constexpr int64_t kMaxGroup = 256;

// Runs body(first, last) over groups of queries.
template <class Body>
Status for_each_group(int64_t num_queries, int num_threads, Body&& body, int64_t max_group = kMaxGroup) {
  const int64_t group = std::clamp<int64_t>((num_queries + num_threads - 1) / std::max(num_threads, 1), 1, max_group);
  std::atomic<bool> out_of_memory{false};
  const Status status = parallel_for((num_queries + group - 1) / group, num_threads, [&](int64_t task, int) {
    try {
      body(task * group, std::min((task + 1) * group, num_queries));
    } catch (const std::bad_alloc&) {
      out_of_memory.store(true, std::memory_order_relaxed);
    }
  });
  if (status != Status::kOk) return status;
  return out_of_memory.load(std::memory_order_relaxed) ? Status::kOutOfMemory : Status::kOk;
}

// body(), whose allocations may fail.
template <class Body>
Status or_out_of_memory(Body&& body) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return Status::kOutOfMemory;
  }
}

}  // namespace hashkernels
