// Packing and unpacking, bound by memory.
//
// A warp packs 32 neighbouring values of a row with one load a lane and one ballot; a few words at a time, so that as
// many loads are in flight, and then every lane stores one byte of them.
#include <cuda_runtime.h>

#include <algorithm>

#include "hashkernels/cuda.h"
#include "launch.cuh"
#include "tuning.cuh"

namespace hashkernels::cuda {
namespace {

using Tuning = tuning::Packing;

constexpr uint32_t kAllLanes = 0xFFFFFFFF;
constexpr int kWords = Tuning::kWordsPerWarp;
static_assert(kWords <= 8, "a lane stores one byte");

// Numbers by their bits: positive if greater than zero and not a NaN, which lies above infinity with the sign cleared.
template <class Int, Int infinity>
struct Bits {
  using Value = Int;
  __device__ static bool positive(Int value) { return value > 0 && value <= infinity; }
  __device__ static bool nan(Int value) {
    constexpr Int kMagnitude = static_cast<Int>(~(Int{1} << (8 * sizeof(Int) - 1)));
    return static_cast<Int>(value & kMagnitude) > infinity;
  }
};

template <class Int>
struct Integer {
  using Value = Int;
  __device__ static bool positive(Int value) { return value > 0; }
  __device__ static bool nan(Int) { return false; }
};

template <class Format>
__global__ void __launch_bounds__(Tuning::kThreads)
    pack_codes_kernel(const Values values, uint8_t* __restrict__ out, int64_t out_stride, bool little,
                      int32_t* __restrict__ has_nan) {
  using Value = typename Format::Value;
  const int lane = threadIdx.x % 32;
  const int64_t words_per_row = (values.bits + 31) / 32;
  const int64_t num_words = values.num_rows * words_per_row;
  const int64_t warp = static_cast<int64_t>(blockIdx.x) * (Tuning::kThreads / 32) + threadIdx.x / 32;
  const int64_t first_word = warp * kWords;

  // Word `word` of row `row`, and the one of which this lane will store byte lane % 4.
  int64_t row = first_word / words_per_row;
  int64_t word = first_word - row * words_per_row;
  int64_t own_row = 0;
  int64_t own_byte = 0;
  uint32_t own_bits = 0;
  bool nan = false;
#pragma unroll
  for (int w = 0; w < kWords; ++w) {
    const int64_t column = word * 32 + lane;
    bool bit = false;
    if (first_word + w < num_words && column < values.bits) {
      const char* const start = static_cast<const char*>(values.data) + row * values.row_stride;
      const Value value = reinterpret_cast<const Value*>(start)[column];
      bit = Format::positive(value);
      nan = nan || Format::nan(value);
    }
    const uint32_t bits = __ballot_sync(kAllLanes, bit);
    if (lane / 4 == w) {
      own_row = row;
      own_byte = word * 4 + lane % 4;
      own_bits = bits >> (8 * (lane % 4)) & 0xFF;
    }
    if (++word == words_per_row) {
      word = 0;
      ++row;
    }
  }

  if (lane < 4 * kWords && first_word + lane / 4 < num_words && own_byte < (values.bits + 7) / 8) {
    out[own_row * out_stride + own_byte] = static_cast<uint8_t>(little ? own_bits : __brev(own_bits) >> 24);
  }
  if (nan && has_nan != nullptr) *has_nan = 1;
}

// A thread writes the eight signs of one byte.
__global__ void __launch_bounds__(Tuning::kThreads)
    unpack_codes_kernel(const Codes codes, int bits, int8_t* __restrict__ out, int64_t out_stride, bool little) {
  const int64_t id = static_cast<int64_t>(blockIdx.x) * Tuning::kThreads + threadIdx.x;
  const int64_t row = id / codes.num_bytes;
  const int byte = static_cast<int>(id - row * codes.num_bytes);
  if (row >= codes.num_codes) return;
  const uint32_t value = codes.data[row * codes.stride + byte];
  const uint32_t code = little ? value : __brev(value) >> 24;
  int8_t* const signs = out + row * out_stride + 8 * byte;
  if (8 * byte + 8 <= bits && reinterpret_cast<uintptr_t>(signs) % 8 == 0) {
    uint2 eight{0, 0};
#pragma unroll
    for (int b = 0; b < 4; ++b) {
      eight.x |= (code >> b & 1 ? 0x01u : 0xFFu) << (8 * b);
      eight.y |= (code >> (b + 4) & 1 ? 0x01u : 0xFFu) << (8 * b);
    }
    *reinterpret_cast<uint2*>(signs) = eight;
  } else {
    for (int b = 0; b < 8 && 8 * byte + b < bits; ++b) signs[b] = code >> b & 1 ? 1 : -1;
  }
}

template <class Launch>
cudaError_t by_format(DType dtype, Launch&& launch_with) {
  switch (dtype) {
    case DType::kFloat32:
      return launch_with(pack_codes_kernel<Bits<int32_t, 0x7F800000>>);
    case DType::kFloat64:
      return launch_with(pack_codes_kernel<Bits<int64_t, 0x7FF0000000000000>>);
    case DType::kFloat16:
      return launch_with(pack_codes_kernel<Bits<int16_t, 0x7C00>>);
    case DType::kBFloat16:
      return launch_with(pack_codes_kernel<Bits<int16_t, 0x7F80>>);
    case DType::kInt8:
      return launch_with(pack_codes_kernel<Integer<int8_t>>);
    case DType::kUInt8:
    case DType::kBool:
      return launch_with(pack_codes_kernel<Integer<uint8_t>>);
    case DType::kInt16:
      return launch_with(pack_codes_kernel<Integer<int16_t>>);
    case DType::kInt32:
      return launch_with(pack_codes_kernel<Integer<int32_t>>);
    case DType::kInt64:
      break;
  }
  return launch_with(pack_codes_kernel<Integer<int64_t>>);
}

}  // namespace

Status pack_codes(const Values& values, uint8_t* out, int64_t out_stride, bool little, int32_t* has_nan, int device,
                  void* stream) noexcept {
  constexpr const char* kName = "pack_codes";
  if (values.num_rows == 0) return Status::kOk;
  const DeviceGuard guard(device);
  if (guard.error() != cudaSuccess) return report(kName, guard.error());
  const int64_t num_words = values.num_rows * divide_up(values.bits, 32);
  const dim3 grid = grid_for(divide_up(num_words, kWords) * 32, Tuning::kThreads);
  return report(kName, by_format(values.dtype, [&](auto kernel) {
                  return launch(kernel, grid, Tuning::kThreads, 0, stream, values, out, out_stride, little, has_nan);
                }));
}

Status unpack_codes(const Codes& codes, int bits, int8_t* out, int64_t out_stride, bool little, int device,
                    void* stream) noexcept {
  constexpr const char* kName = "unpack_codes";
  if (codes.num_codes == 0) return Status::kOk;
  const DeviceGuard guard(device);
  if (guard.error() != cudaSuccess) return report(kName, guard.error());
  const dim3 grid = grid_for(codes.num_codes * codes.num_bytes, Tuning::kThreads);
  return report(kName,
                launch(unpack_codes_kernel, grid, Tuning::kThreads, 0, stream, codes, bits, out, out_stride, little));
}

}  // namespace hashkernels::cuda
