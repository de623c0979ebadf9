// Instruction sets: which ones this build and this CPU have, and which one the kernels use.
#pragma once

#include <cstddef>

namespace hashkernels {

enum class Isa { kScalar, kAvx2, kAvx512, kAvx512Vpopcnt, kNeon };
inline constexpr size_t kNumIsas = 5;

// "scalar", "avx2", "avx512", "avx512_vpopcnt" or "neon".
const char* isa_name(Isa isa) noexcept;

// Both compiled into this library and supported by this CPU and operating system.
bool isa_available(Isa isa) noexcept;

// The instruction set in use: the best available one until select_isa changes it.
Isa active_isa() noexcept;

// Use `isa` for every later call; false, and no change, where it is not available.
bool select_isa(Isa isa) noexcept;

}  // namespace hashkernels
