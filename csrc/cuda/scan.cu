// Reduce, then scan: long rows are cut into segments, whose sums are scanned first and start the scans of the segments.
// Integers, so that no order of adding changes the result.
#include <algorithm>

#include "arch.cuh"
#include "scan.cuh"
#include "tuning.cuh"

namespace hashkernels::cuda {
namespace {

using Tuning = tuning::Scan;

constexpr int kWarps = Tuning::kThreads / 32;

struct Shared {
  int64_t warp_sums[kWarps];
};

// The sum over the block of `value`, and in *before that over the threads before this one.
__device__ int64_t block_scan(int64_t value, int64_t* before, Shared& shared) {
  const int lane = threadIdx.x % 32;
  const int warp = threadIdx.x / 32;
  const int64_t inclusive = sum_up_to_lane(value);
  if (lane == 31) shared.warp_sums[warp] = inclusive;
  __syncthreads();  // the sums of all warps are there
  int64_t sum = 0;
  int64_t warps_before = 0;
#pragma unroll
  for (int w = 0; w < kWarps; ++w) {
    if (w == warp) warps_before = sum;
    sum += shared.warp_sums[w];
  }
  *before = warps_before + inclusive - value;
  __syncthreads();  // and have been read
  return sum;
}

struct Segment {
  __device__ Segment(int64_t row_length, int64_t segment_length) {
    begin = blockIdx.x * segment_length;
    end = min(begin + segment_length, row_length);
  }
  int64_t begin, end;
};

__global__ void __launch_bounds__(Tuning::kThreads)
    segment_sums_kernel(const int64_t* __restrict__ values, int64_t num_rows, int64_t row_length,
                        int64_t segment_length, int64_t* __restrict__ sums, const uint32_t* __restrict__ wanted) {
  if (wanted != nullptr && *wanted == 0) return;
  Shared& shared = arch::shared_object<Shared>();
  const Segment segment(row_length, segment_length);
  for (int64_t row = blockIdx.y; row < num_rows; row += gridDim.y) {
    int64_t sum = 0;
    int64_t before;
    for (int64_t i = segment.begin + threadIdx.x; i < segment.end; i += Tuning::kThreads) {
      sum += values[row * row_length + i];
    }
    sum = block_scan(sum, &before, shared);
    if (threadIdx.x == 0) sums[row * gridDim.x + blockIdx.x] = sum;
  }
}

// starts[row * segments + segment]: what a segment begins with; null where a row is one segment.
__global__ void __launch_bounds__(Tuning::kThreads)
    scan_kernel(int64_t* __restrict__ values, int64_t num_rows, int64_t row_length, int64_t segment_length,
                const int64_t* __restrict__ starts, int64_t* __restrict__ totals, const uint32_t* __restrict__ wanted) {
  if (wanted != nullptr && *wanted == 0) return;
  Shared& shared = arch::shared_object<Shared>();
  const Segment segment(row_length, segment_length);
  for (int64_t row = blockIdx.y; row < num_rows; row += gridDim.y) {
    int64_t carry = starts == nullptr ? 0 : starts[row * gridDim.x + blockIdx.x];
    for (int64_t step = segment.begin; step < segment.end; step += Tuning::kThreads * Tuning::kPerThread) {
      const int64_t first = step + static_cast<int64_t>(threadIdx.x) * Tuning::kPerThread;
      int64_t* const own = values + row * row_length + first;
      int64_t value[Tuning::kPerThread];
      int64_t sum = 0;
      int64_t before;
#pragma unroll
      for (int i = 0; i < Tuning::kPerThread; ++i) {
        value[i] = first + i < segment.end ? own[i] : 0;
        sum += value[i];
      }
      const int64_t step_sum = block_scan(sum, &before, shared);
      before += carry;
#pragma unroll
      for (int i = 0; i < Tuning::kPerThread; ++i) {
        if (first + i < segment.end) own[i] = before;
        before += value[i];
      }
      carry += step_sum;
    }
    if (totals != nullptr && threadIdx.x == 0 && segment.end == row_length) totals[row] = carry;
  }
}

int64_t segments(int64_t row_length) { return std::max<int64_t>(divide_up(row_length, Tuning::kSegment), 1); }

}  // namespace

int64_t scan_workspace(int64_t num_rows, int64_t row_length) noexcept {
  return segments(row_length) == 1 ? 0 : num_rows * segments(row_length);
}

cudaError_t exclusive_scan(int64_t* values, int64_t num_rows, int64_t row_length, int64_t* totals, int64_t* workspace,
                           void* stream, const uint32_t* wanted) noexcept {
  const int64_t count = segments(row_length);
  const unsigned grid_rows = static_cast<unsigned>(std::min(num_rows, kMaxGridY));
  const dim3 whole_rows(1, grid_rows), all_segments(static_cast<unsigned>(count), grid_rows);
  if (count == 1) {
    return launch(scan_kernel, whole_rows, Tuning::kThreads, 0, stream, values, num_rows, row_length, row_length,
                  nullptr, totals, wanted);
  }
  cudaError_t error = launch(segment_sums_kernel, all_segments, Tuning::kThreads, 0, stream, values, num_rows,
                             row_length, Tuning::kSegment, workspace, wanted);
  if (error != cudaSuccess) return error;
  error = launch(scan_kernel, whole_rows, Tuning::kThreads, 0, stream, workspace, num_rows, count, count, nullptr,
                 nullptr, wanted);
  if (error != cudaSuccess) return error;
  return launch(scan_kernel, all_segments, Tuning::kThreads, 0, stream, values, num_rows, row_length, Tuning::kSegment,
                workspace, totals, wanted);
}

}  // namespace hashkernels::cuda
