// The CUDA kernels. Launchers run on the caller's device and stream, allocate nothing and never synchronise.
#pragma once

#include <cstdint>

#include "hashkernels/codes.h"
#include "hashkernels/status.h"

namespace hashkernels::cuda {

// What the kernels were built for.
struct BuildInfo {
  const char* version;        // "13.0"; null in a build without CUDA
  const char* architectures;  // "80-real,90-real,..."; empty without CUDA
};
BuildInfo build_info() noexcept;

// Usable devices; 0 without a driver, a device or a CUDA build.
int device_count() noexcept;

// The kernel and the CUDA error of this thread's last kDeviceError.
const char* last_device_error() noexcept;

// As hashkernels::hamming_distance, with device pointers; `stream` is a cudaStream_t.
template <class T>
Status hamming_distance(const Codes& queries, const Codes& database, T* out, int device, void* stream) noexcept;

}  // namespace hashkernels::cuda
