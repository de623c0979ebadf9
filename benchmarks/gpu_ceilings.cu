// What a GPU gives at most of what the kernels are made of: operations a second, each kernel doing nothing but them.
// Built by gpu_ceilings.py into a library of its own.
#include <cuda_runtime.h>

#include <cstdint>

namespace {

constexpr int kThreads = 256;
constexpr int kChains = 8;  // independent sums a thread, so that latency does not count

template <class Step>
__global__ void __launch_bounds__(kThreads) chains_kernel(int64_t steps, uint32_t* out) {
  uint32_t values[kChains];
  for (int i = 0; i < kChains; ++i) values[i] = threadIdx.x * 0x9E3779B9u + i + blockIdx.x;
  for (int64_t s = 0; s < steps; ++s) {
#pragma unroll
    for (int i = 0; i < kChains; ++i) values[i] = Step::apply(values[i]);
  }
  uint32_t sum = 0;
  for (int i = 0; i < kChains; ++i) sum += values[i];
  out[blockIdx.x * kThreads + threadIdx.x] = sum;
}

struct PopulationCount {
  static __device__ uint32_t apply(uint32_t x) { return __popc(x) + 0x55555555u; }
};

struct ThreeInputLogic {
  static __device__ uint32_t apply(uint32_t x) {
    uint32_t y;
    asm volatile("lop3.b32 %0, %1, %2, %3, 0x96;" : "=r"(y) : "r"(x), "r"(0x9E3779B9u), "r"(x));
    return y;
  }
};

// A load and a store of shared memory, every lane in a bank of its own.
__global__ void __launch_bounds__(kThreads) shared_kernel(int64_t steps, uint32_t* out) {
  __shared__ uint32_t counters[kChains][kThreads];
  for (int i = 0; i < kChains; ++i) counters[i][threadIdx.x] = i;
  volatile uint32_t* const own = &counters[0][threadIdx.x];
  for (int64_t s = 0; s < steps; ++s) {
#pragma unroll
    for (int i = 0; i < kChains; ++i) own[i * kThreads] = own[i * kThreads] + 1;
  }
  out[blockIdx.x * kThreads + threadIdx.x] = own[0];
}

}  // namespace

// Operations a second of `kind` (0: population counts, 1: logic of three inputs, 2: load and store of shared memory) on
// the current device, or the negated error. `out` holds blocks * 256 values.
extern "C" double ceiling(int kind, int blocks, int64_t steps, uint32_t* out) {
  void (*const kernels[])(int64_t, uint32_t*) = {chains_kernel<PopulationCount>, chains_kernel<ThreeInputLogic>,
                                                 shared_kernel};
  cudaEvent_t begin, end;
  cudaEventCreate(&begin);
  cudaEventCreate(&end);
  float best = 1e30f;
  for (int round = 0; round < 5; ++round) {
    cudaEventRecord(begin);
    kernels[kind]<<<blocks, kThreads>>>(steps, out);
    cudaEventRecord(end);
    const cudaError_t error = cudaEventSynchronize(end);
    if (error != cudaSuccess) return -static_cast<double>(error);
    float milliseconds = 0;
    cudaEventElapsedTime(&milliseconds, begin, end);
    if (milliseconds < best) best = milliseconds;
  }
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  return static_cast<double>(blocks) * kThreads * kChains * steps / (best * 1e-3);
}
