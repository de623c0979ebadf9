// What a kernel reports. Kernels never throw; the bindings turn a Status into a Python exception.
#pragma once

namespace hashkernels {

enum class Status {
  kOk,
  kOutOfMemory,  // a workspace could not be allocated; outputs are unspecified
  kInterrupted,  // the interrupt check asked to stop; outputs are unspecified
  kUnsupported,  // no kernel for this combination (for example a CUDA kernel in a CPU build)
  kDeviceError,  // a CUDA call failed; the message is in last_device_error()
};

}  // namespace hashkernels
