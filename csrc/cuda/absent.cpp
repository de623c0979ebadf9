// Stands in for the CUDA kernels in a build without nvcc.
#include "hashkernels/cuda.h"

namespace hashkernels::cuda {

BuildInfo build_info() noexcept { return {nullptr, ""}; }
int device_count() noexcept { return 0; }
const char* last_device_error() noexcept { return "this build has no CUDA kernels"; }

template <class T>
Status hamming_distance(const Codes&, const Codes&, T*, int, void*) noexcept {
  return Status::kUnsupported;
}
template Status hamming_distance<uint8_t>(const Codes&, const Codes&, uint8_t*, int, void*) noexcept;
template Status hamming_distance<int16_t>(const Codes&, const Codes&, int16_t*, int, void*) noexcept;
template Status hamming_distance<int32_t>(const Codes&, const Codes&, int32_t*, int, void*) noexcept;

}  // namespace hashkernels::cuda
