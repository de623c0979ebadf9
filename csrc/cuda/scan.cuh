// Exclusive prefix sums of the rows of a matrix of int64.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "launch.cuh"

namespace hashkernels::cuda {

// The sum of `value` over the lanes up to this one, by all lanes of a warp.
template <class T>
__device__ __forceinline__ T sum_up_to_lane(T value) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int delta = 1; delta < 32; delta *= 2) {
    const T other = __shfl_up_sync(0xFFFFFFFF, value, delta);
    if (lane >= delta) value += other;
  }
  return value;
}

// int64 values of workspace that exclusive_scan wants.
int64_t scan_workspace(int64_t num_rows, int64_t row_length) noexcept;

// Replaces each of the num_rows rows of row_length values by its exclusive prefix sums; totals, unless null, receives
// the sum of each row. Nothing is done where *wanted, unless null, is zero.
cudaError_t exclusive_scan(int64_t* values, int64_t num_rows, int64_t row_length, int64_t* totals, int64_t* workspace,
                           void* stream, const uint32_t* wanted = nullptr) noexcept;

}  // namespace hashkernels::cuda
