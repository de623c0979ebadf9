#include <array>
#include <atomic>
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

cudaError_t compute_capability(int device, int* capability) noexcept {
  static std::array<std::atomic<int>, 64> known{};  // 0: not asked for yet
  const size_t slot = static_cast<size_t>(device) % known.size();
  *capability = known[slot].load(std::memory_order_relaxed);
  if (*capability != 0 && slot == static_cast<size_t>(device)) return cudaSuccess;
  int major = 0;
  int minor = 0;
  cudaError_t error = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
  if (error == cudaSuccess) error = cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
  if (error != cudaSuccess) return error;
  *capability = 10 * major + minor;
  if (slot == static_cast<size_t>(device)) known[slot].store(*capability, std::memory_order_relaxed);
  return cudaSuccess;
}

Status report(const char* kernel, cudaError_t error) noexcept {
  if (error == cudaSuccess) return Status::kOk;
  const char* const hint = error == cudaErrorNoKernelImageForDevice
                               ? " (kernels need compute capability 8.0 or later, and a build for this device)"
                               : "";
  std::snprintf(last_error, sizeof(last_error), "CUDA kernel %s: %s%s", kernel, cudaGetErrorString(error), hint);
  return Status::kDeviceError;
}

}  // namespace hashkernels::cuda
