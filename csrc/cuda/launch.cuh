// What every launcher does around a kernel: the caller's device for its duration, and errors kept with the kernel's name.
#pragma once

#include <cuda_runtime.h>

#include "hashkernels/status.h"

namespace hashkernels::cuda {

// Remembers `error` as this thread's last device error and returns the matching Status.
Status report(const char* kernel, cudaError_t error) noexcept;

// Makes `device` current, and puts the old one back.
class DeviceGuard {
 public:
  explicit DeviceGuard(int device) noexcept {
    error_ = cudaGetDevice(&before_);
    if (error_ == cudaSuccess && before_ != device) error_ = cudaSetDevice(device);
  }
  DeviceGuard(const DeviceGuard&) = delete;
  DeviceGuard& operator=(const DeviceGuard&) = delete;
  ~DeviceGuard() { cudaSetDevice(before_); }

  cudaError_t error() const { return error_; }

 private:
  int before_ = 0;
  cudaError_t error_;
};

}  // namespace hashkernels::cuda
