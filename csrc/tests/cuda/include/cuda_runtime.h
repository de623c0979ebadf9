// The part of CUDA that the kernels use, for the emulator: stands in for the toolkit's header of this name.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "../emulator.hpp"
#include "../matrix.hpp"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__

using std::max;
using std::min;

enum cudaError_t { cudaSuccess, cudaErrorInvalidValue, cudaErrorMemoryAllocation, cudaErrorNoKernelImageForDevice };
enum cudaDeviceAttr { cudaDevAttrComputeCapabilityMajor, cudaDevAttrComputeCapabilityMinor };
using cudaStream_t = void*;

namespace emulator {

// Devices of compute capability 8.0, but for the last one, for which no kernel is built.
inline constexpr int kDevices = 3;
inline int current_device = 0, device_changes = 0;

// Where work must go, and how much of it is taken before memory is out.
inline int wanted_device = 0;
inline cudaStream_t wanted_stream = nullptr;
inline int64_t work_left = INT64_MAX;

inline cudaError_t take_work(cudaStream_t stream) {
  if (current_device != wanted_device) fail("work for another device than the caller's");
  if (stream != wanted_stream) fail("work for another stream than the caller's");
  return work_left-- > 0 ? cudaSuccess : cudaErrorMemoryAllocation;
}

}  // namespace emulator

inline const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaErrorMemoryAllocation ? "out of memory" : "emulated error";
}
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline cudaError_t cudaGetDeviceCount(int* count) { return *count = emulator::kDevices, cudaSuccess; }
inline cudaError_t cudaGetDevice(int* device) { return *device = emulator::current_device, cudaSuccess; }
inline cudaError_t cudaSetDevice(int device) {
  ++emulator::device_changes;
  if (device < 0 || device >= emulator::kDevices) return cudaErrorInvalidValue;
  return emulator::current_device = device, cudaSuccess;
}
inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  const bool major = attribute == cudaDevAttrComputeCapabilityMajor;
  return *value = device == emulator::kDevices - 1 ? (major ? 7 : 5) : (major ? 8 : 0), cudaSuccess;
}
inline cudaError_t cudaMemsetAsync(void* data, int value, size_t bytes, cudaStream_t stream) {
  const cudaError_t error = emulator::take_work(stream);
  if (error == cudaSuccess) std::memset(data, value, bytes);
  return error;
}

struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  size_t dynamicSmemBytes;
  cudaStream_t stream;
};

template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments... arguments) {
  const cudaError_t error = emulator::take_work(config->stream);
  if (error != cudaSuccess) return error;
  emulator::launch(config->gridDim, config->blockDim, config->dynamicSmemBytes, [&] { kernel(arguments...); });
  return cudaSuccess;
}

struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(16) float4 {
  float x, y, z, w;
};

inline float __fdividef(float x, float y) { return x / y; }
inline float __uint_as_float(uint32_t x) { return std::bit_cast<float>(x); }
inline double __fma_rn(double x, double y, double z) { return std::fma(x, y, z); }
inline long long __double_as_longlong(double x) { return std::bit_cast<long long>(x); }
inline double __hiloint2double(uint32_t high, uint32_t low) {
  return std::bit_cast<double>(static_cast<uint64_t>(high) << 32 | low);
}
inline int __popc(uint32_t x) { return std::popcount(x); }
inline int __popcll(uint64_t x) { return std::popcount(x); }
inline uint32_t __brev(uint32_t x) {
  uint32_t reversed = 0;
  for (int i = 0; i < 32; ++i) reversed |= (x >> i & 1) << (31 - i);
  return reversed;
}
inline int __ffs(uint32_t x) { return x == 0 ? 0 : std::countr_zero(x) + 1; }
inline int __clzll(int64_t x) { return std::countl_zero(static_cast<uint64_t>(x)); }
template <class T>
T __ldg(const T* address) {
  if (reinterpret_cast<uintptr_t>(address) % sizeof(T) != 0) emulator::fail("a load that is not aligned to its size");
  return *address;
}

template <class T>
void __stcs(T* address, T value) {
  if (reinterpret_cast<uintptr_t>(address) % sizeof(T) != 0) emulator::fail("a store that is not aligned to its size");
  *address = value;
}

#define EMULATOR_SITE const char *file = __builtin_FILE(), int line = __builtin_LINE()

inline void __syncthreads(EMULATOR_SITE) { emulator::block.barrier(file, line); }

inline void __syncwarp(uint32_t mask = 0xFFFFFFFF, EMULATOR_SITE) {
  emulator::block.exchange(emulator::Operation::kSync, mask, 0, file, line);
}

namespace emulator {

template <class T>
T shuffle(uint32_t mask, T value, int source, const char* file, int line) {
  static_assert(sizeof(T) <= sizeof(uint64_t));
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  const auto& seen = block.exchange(Operation::kShuffle, mask, bits, file, line);
  if ((mask >> source & 1) == 0) fail("a shuffle reads from a lane outside of its mask");
  T result;
  std::memcpy(&result, &seen[source], sizeof(T));
  return result;
}

}  // namespace emulator

template <class T>
T __shfl_sync(uint32_t mask, T value, int source, EMULATOR_SITE) {
  return emulator::shuffle(mask, value, source & 31, file, line);
}
template <class T>
T __shfl_up_sync(uint32_t mask, T value, int delta, EMULATOR_SITE) {
  const int lane = emulator::block.lane();
  return emulator::shuffle(mask, value, lane < delta ? lane : lane - delta, file, line);
}
template <class T>
T __shfl_down_sync(uint32_t mask, T value, int delta, EMULATOR_SITE) {
  const int lane = emulator::block.lane();
  return emulator::shuffle(mask, value, lane + delta > 31 ? lane : lane + delta, file, line);
}
template <class T>
T __shfl_xor_sync(uint32_t mask, T value, int flip, EMULATOR_SITE) {
  return emulator::shuffle(mask, value, emulator::block.lane() ^ flip, file, line);
}

inline uint32_t __ballot_sync(uint32_t mask, int predicate, EMULATOR_SITE) {
  const auto& seen = emulator::block.exchange(emulator::Operation::kVote, mask, predicate != 0, file, line);
  uint32_t ballot = 0;
  for (int l = 0; l < 32; ++l) ballot |= static_cast<uint32_t>(seen[l]) << l;
  return ballot;
}
inline int __any_sync(uint32_t mask, int predicate, EMULATOR_SITE) {
  return __ballot_sync(mask, predicate, file, line) != 0;
}

template <class T>
uint32_t __match_any_sync(uint32_t mask, T value, EMULATOR_SITE) {
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  const auto& seen = emulator::block.exchange(emulator::Operation::kMatch, mask, bits, file, line);
  uint32_t equal = 0;
  for (int l = 0; l < 32; ++l) equal |= static_cast<uint32_t>((mask >> l & 1) != 0 && seen[l] == bits) << l;
  return equal;
}

inline uint32_t __reduce_add_sync(uint32_t mask, uint32_t value, EMULATOR_SITE) {
  const auto& seen = emulator::block.exchange(emulator::Operation::kReduce, mask, value, file, line);
  uint32_t sum = 0;
  for (const uint64_t part : seen) sum += static_cast<uint32_t>(part);
  return sum;
}

template <class T>
T atomicAdd(T* address, T value) {
  emulator::block.maybe_leave();
  const T before = *address;
  *address = before + value;
  return before;
}
template <class T>
T atomicOr(T* address, T value) {
  emulator::block.maybe_leave();
  const T before = *address;
  *address = before | value;
  return before;
}

#undef EMULATOR_SITE
