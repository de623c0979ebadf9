#include <cstdio>

#include "hashkernels/cuda.h"
#include "launch.cuh"

namespace hashkernels::cuda {
namespace {

thread_local char last_error[256] = "";

}  // namespace

BuildInfo build_info() noexcept { return {HASHKERNELS_CUDA_VERSION, HASHKERNELS_CUDA_ARCHITECTURES}; }

int device_count() noexcept {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess) return count;
  cudaGetLastError();  // no driver or no device: not an error that a later launch should report
  return 0;
}

const char* last_device_error() noexcept { return last_error; }

Status report(const char* kernel, cudaError_t error) noexcept {
  if (error == cudaSuccess) return Status::kOk;
  std::snprintf(last_error, sizeof(last_error), "CUDA kernel %s: %s", kernel, cudaGetErrorString(error));
  return error == cudaErrorMemoryAllocation ? Status::kOutOfMemory : Status::kDeviceError;
}

}  // namespace hashkernels::cuda
