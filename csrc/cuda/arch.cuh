// What the emulator (csrc/tests/cuda) cannot take as it stands: shared memory, which it poisons and guards, and the
// instructions that have no name in CUDA C++.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

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

// Two floats, each rounded to the nearest bfloat16 (ties to even), `low` in the low half.
__device__ __forceinline__ uint32_t pack_bf16(float low, float high) {
#ifdef __CUDACC__
  uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
#else
  return emulator::pack_bf16(low, high);
#endif
}

__device__ __forceinline__ float float16_to_float(uint16_t bits) {
#ifdef __CUDACC__
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
  return value;
#else
  return emulator::float16_to_float(bits);
#endif
}

// The value, of which the compiler knows nothing: it keeps it in a register instead of working it out again from its
// factors wherever it is used.
__device__ __forceinline__ int kept(int value) {
#ifdef __CUDACC__
  asm("" : "+r"(value));
#endif
  return value;
}

// 1 / value, for a start: within 2^-18 of its size.
__device__ __forceinline__ double approximate_reciprocal(double value) {
#ifdef __CUDACC__
  double result;
  asm("rcp.approx.ftz.f64 %0, %1;" : "=d"(result) : "d"(value));
  return result;
#else
  return emulator::approximate_reciprocal(value);
#endif
}

// Four matrices of 8 x 8 values of 16 bits from shared memory. Lane l names, at an address aligned to 16 bytes, row
// l % 8 of matrix l / 8; it receives, of each matrix, the two values from column 2 * (l % 4) on of row l / 4.
__device__ __forceinline__ void load_matrices(uint32_t (&out)[4], const uint16_t* row) {
#ifdef __CUDACC__
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(static_cast<uint32_t>(__cvta_generic_to_shared(row)))
               : "memory");
#else
  emulator::load_matrices<false>(out, row);
#endif
}

// The same of the transposed matrices.
__device__ __forceinline__ void load_transposed_matrices(uint32_t (&out)[4], const uint16_t* row) {
#ifdef __CUDACC__
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(static_cast<uint32_t>(__cvta_generic_to_shared(row)))
               : "memory");
#else
  emulator::load_matrices<true>(out, row);
#endif
}

// sums += a * b, by a warp, of bfloat16 matrices 16 x 16 and 16 x 8. Lane l holds, where r = l / 4 and c = 2 * (l % 4):
// sums (r, c), (r, c + 1), (r + 8, c), (r + 8, c + 1); the pairs of a from (r, c), (r + 8, c), (r, c + 8), (r + 8, c +
// 8) on; and of b (c, r) with (c + 1, r), (c + 8, r) with (c + 9, r).
__device__ __forceinline__ void multiply_bf16(float (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
#ifdef __CUDACC__
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
  emulator::multiply_bf16(sums, a, b0, b1);
#endif
}

// Whether common_bits is an instruction of the architecture; elsewhere it would be many.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
constexpr bool kBinaryProducts = false;
#else
constexpr bool kBinaryProducts = true;
#endif

// sums = starts of the rows + the bits that rows and columns have in common, by a warp, over slices of 128 bits. Lane l
// brings word l % 4 of row l / 4 (upper) and of row 8 + l / 4 (lower), and of column l / 4, in each slice; its sums are
// those of row l / 4 in columns 2 * (l % 4) and the next, and of row 8 + l / 4 in the same. starts: of these two rows.
template <int slices>
__device__ __forceinline__ void common_bits(int (&sums)[4], const uint32_t (&upper)[slices],
                                            const uint32_t (&lower)[slices], const uint32_t (&columns)[slices],
                                            const int (&starts)[2]) {
  static_assert(slices == 1 || slices % 2 == 0);
#ifdef __CUDACC__
  if constexpr (slices == 1) {
    asm volatile(
        "mma.sync.aligned.m16n8k128.row.col.s32.b1.b1.s32.and.popc {%0, %1, %2, %3}, {%4, %5}, {%6}, "
        "{%7, %7, %8, %8};"
        : "=r"(sums[0]), "=r"(sums[1]), "=r"(sums[2]), "=r"(sums[3])
        : "r"(upper[0]), "r"(lower[0]), "r"(columns[0]), "r"(starts[0]), "r"(starts[1]));
  } else {
    asm volatile(
        "mma.sync.aligned.m16n8k256.row.col.s32.b1.b1.s32.and.popc {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%10, %10, %11, %11};"
        : "=r"(sums[0]), "=r"(sums[1]), "=r"(sums[2]), "=r"(sums[3])
        : "r"(upper[0]), "r"(lower[0]), "r"(upper[1]), "r"(lower[1]), "r"(columns[0]), "r"(columns[1]), "r"(starts[0]),
          "r"(starts[1]));
#pragma unroll
    for (int s = 2; s < slices; s += 2) {
      asm volatile(
          "mma.sync.aligned.m16n8k256.row.col.s32.b1.b1.s32.and.popc {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
          "{%0, %1, %2, %3};"
          : "+r"(sums[0]), "+r"(sums[1]), "+r"(sums[2]), "+r"(sums[3])
          : "r"(upper[s]), "r"(lower[s]), "r"(upper[s + 1]), "r"(lower[s + 1]), "r"(columns[s]), "r"(columns[s + 1]));
    }
  }
#else
  for (int e = 0; e < 4; ++e) sums[e] = starts[e / 2];
  for (int s = 0; s < slices; ++s) emulator::add_common_bits(sums, upper[s], lower[s], columns[s]);
#endif
}

}  // namespace hashkernels::cuda::arch
