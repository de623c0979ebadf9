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

// An addition in shared memory whose result nobody waits for.
__global__ void __launch_bounds__(kThreads) shared_atomics_kernel(int64_t steps, uint32_t* out) {
  __shared__ uint32_t counters[kChains][kThreads];
  for (int i = 0; i < kChains; ++i) counters[i][threadIdx.x] = i;
  for (int64_t s = 0; s < steps; ++s) {
#pragma unroll
    for (int i = 0; i < kChains; ++i) atomicAdd(&counters[i][threadIdx.x], 1u);
  }
  out[blockIdx.x * kThreads + threadIdx.x] = counters[0][threadIdx.x];
}

// Products of matrices by a warp, each chain adding to its own.
template <class Product>
__global__ void __launch_bounds__(kThreads) products_kernel(int64_t steps, uint32_t* out) {
  uint32_t inputs[6];
  for (int i = 0; i < 6; ++i) inputs[i] = threadIdx.x * 0x9E3779B9u + i * 0x7FEB352Du + blockIdx.x;
  int sums[kChains][4] = {};
  for (int64_t s = 0; s < steps; ++s) {
#pragma unroll
    for (int i = 0; i < kChains; ++i) Product::add(sums[i], inputs);
  }
  int sum = 0;
  for (int i = 0; i < kChains; ++i) sum += sums[i][0] + sums[i][1] + sums[i][2] + sums[i][3];
  out[blockIdx.x * kThreads + threadIdx.x] = sum;
}

#define PRODUCT(name, depth, instruction, a, b, ...)                                                    \
  struct name {                                                                                         \
    static constexpr double kMultiplyAdds = 16.0 * 8 * depth / 32;                                      \
    static __device__ void add(int (&d)[4], const uint32_t (&x)[6]) {                                   \
      asm volatile("mma.sync.aligned." instruction " {%0, %1, %2, %3}, " a ", " b ", {%0, %1, %2, %3};" \
                   : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])                                     \
                   : __VA_ARGS__);                                                                      \
    }                                                                                                   \
  }

PRODUCT(Binary128, 128, "m16n8k128.row.col.s32.b1.b1.s32.and.popc", "{%4, %5}", "{%6}", "r"(x[0]), "r"(x[1]),
        "r"(x[2]));
PRODUCT(Binary256, 256, "m16n8k256.row.col.s32.b1.b1.s32.and.popc", "{%4, %5, %6, %7}", "{%8, %9}", "r"(x[0]),
        "r"(x[1]), "r"(x[2]), "r"(x[3]), "r"(x[4]), "r"(x[5]));
PRODUCT(Int8, 32, "m16n8k32.row.col.s32.s8.s8.s32", "{%4, %5, %6, %7}", "{%8, %9}", "r"(x[0]), "r"(x[1]), "r"(x[2]),
        "r"(x[3]), "r"(x[4]), "r"(x[5]));

struct Kind {
  void (*kernel)(int64_t, uint32_t*);
  double operations;  // of a thread in one step of a chain
};

}  // namespace

// Operations a second, in the order of KINDS in gpu_ceilings.py, on the current device, or the negated error. `out`
// holds blocks * 256 values.
extern "C" double ceiling(int kind, int blocks, int64_t steps, uint32_t* out) {
  const Kind kinds[] = {{chains_kernel<PopulationCount>, 1},
                        {chains_kernel<ThreeInputLogic>, 1},
                        {shared_kernel, 1},
                        {shared_atomics_kernel, 1},
                        {products_kernel<Binary128>, Binary128::kMultiplyAdds},
                        {products_kernel<Binary256>, Binary256::kMultiplyAdds},
                        {products_kernel<Int8>, Int8::kMultiplyAdds}};
  cudaEvent_t begin, end;
  cudaEventCreate(&begin);
  cudaEventCreate(&end);
  float best = 1e30f;
  for (int round = 0; round < 5; ++round) {
    cudaEventRecord(begin);
    kinds[kind].kernel<<<blocks, kThreads>>>(steps, out);
    cudaEventRecord(end);
    const cudaError_t error = cudaEventSynchronize(end);
    if (error != cudaSuccess) return -static_cast<double>(error);
    float milliseconds = 0;
    cudaEventElapsedTime(&milliseconds, begin, end);
    if (milliseconds < best) best = milliseconds;
  }
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  return kinds[kind].operations * blocks * kThreads * kChains * steps / (best * 1e-3);
}
