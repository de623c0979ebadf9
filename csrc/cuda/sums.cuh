// Sums over the threads of a block, always in the same order.
#pragma once

#include <cuda_runtime.h>

namespace hashkernels::cuda {

// What all threads have, added up; each of them gets it. Of use once for each `of_warps`.
template <int num_threads>
__device__ __forceinline__ double sum_of_block(double sum, double (&of_warps)[num_threads / 32]) {
#pragma unroll
  for (int flip = 16; flip > 0; flip /= 2) sum += __shfl_xor_sync(0xFFFFFFFF, sum, flip);
  if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = sum;
  __syncthreads();  // the sums of all warps are there
  double total = 0;
#pragma unroll
  for (int w = 0; w < num_threads / 32; ++w) total += of_warps[w];
  return total;
}

}  // namespace hashkernels::cuda
