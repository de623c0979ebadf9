// What every launcher does around a kernel: the caller's device for its duration, the one way to launch, and errors
// kept with the kernel's name.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "hashkernels/status.h"

namespace hashkernels::cuda {

// Remembers `error` as this thread's last device error: kOk, or kDeviceError.
Status report(const char* kernel, cudaError_t error) noexcept;

// 10 * major + minor of a device; asked for once. Here a launcher learns whether kernels that some
// architectures alone can run, in files of their own, take the place of those that all of them share.
cudaError_t compute_capability(int device, int* capability) noexcept;

constexpr int kLeastCapability = 80;

// Makes `device` current, and puts the old one back. A device that no kernel is built for is an error. The one that is
// current already is left alone: setting a device makes a context there, which takes hundreds of megabytes.
class DeviceGuard {
 public:
  explicit DeviceGuard(int device) noexcept {
    error_ = cudaGetDevice(&before_);
    if (error_ == cudaSuccess && before_ != device) {
      error_ = cudaSetDevice(device);
      changed_ = error_ == cudaSuccess;
    }
    int capability = 0;
    if (error_ == cudaSuccess) error_ = compute_capability(device, &capability);
    if (error_ == cudaSuccess && capability < kLeastCapability) error_ = cudaErrorNoKernelImageForDevice;
  }
  DeviceGuard(const DeviceGuard&) = delete;
  DeviceGuard& operator=(const DeviceGuard&) = delete;
  ~DeviceGuard() {
    if (changed_) cudaSetDevice(before_);
  }

  cudaError_t error() const { return error_; }

 private:
  int before_ = 0;
  bool changed_ = false;
  cudaError_t error_;
};

// Launches `kernel` with `arguments` converted to its parameters.
template <class... Parameters, class... Arguments>
cudaError_t launch(void (*kernel)(Parameters...), dim3 grid, int block, size_t shared_bytes, void* stream,
                   Arguments... arguments) noexcept {
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = dim3(static_cast<unsigned>(block));
  config.dynamicSmemBytes = shared_bytes;
  config.stream = static_cast<cudaStream_t>(stream);
  return cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...);
}

// Shared memory that a block has without asking for more.
constexpr int kSharedBytes = 48 << 10;

// The second and third dimension of a grid end here; kernels loop over what is beyond.
constexpr int64_t kMaxGridY = 65535;

constexpr int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// A grid of one dimension, enough blocks for `count` threads.
inline dim3 grid_for(int64_t count, int block) { return dim3(static_cast<unsigned>(divide_up(count, block))); }

}  // namespace hashkernels::cuda
