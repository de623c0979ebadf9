// What the emulator (csrc/tests/cuda) cannot take as it stands: shared memory, which it poisons and guards.
#pragma once

#include <cuda_runtime.h>

namespace hashkernels::cuda::arch {

// The block's one object of type T in shared memory, uninitialised.
template <class T>
__device__ __forceinline__ T& shared_object() {
#ifdef __CUDACC__
  __shared__ T object;
  return object;
#else
  return emulator::shared_object<T>();
#endif
}

// The shared memory whose size the launch gave, aligned to 16 bytes, uninitialised.
template <class T>
__device__ __forceinline__ T* dynamic_shared() {
#ifdef __CUDACC__
  extern __shared__ __align__(16) unsigned char bytes[];
  return reinterpret_cast<T*>(bytes);
#else
  return emulator::dynamic_shared_array<T>();
#endif
}

}  // namespace hashkernels::cuda::arch
