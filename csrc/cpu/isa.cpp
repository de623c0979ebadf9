#include "hashkernels/isa.h"

#include <atomic>
#include <initializer_list>

#include "kernels.hpp"

#if defined(HASHKERNELS_NEON) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace hashkernels {
namespace {

bool compiled(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return true;
    case Isa::kAvx2:
    case Isa::kAvx512:
    case Isa::kAvx512Vpopcnt:
#ifdef HASHKERNELS_X86
      return true;
#else
      return false;
#endif
    case Isa::kNeon:
#ifdef HASHKERNELS_NEON
      return true;
#else
      return false;
#endif
  }
  return false;
}

// Asks for every flag that the files of an instruction set are compiled with (see the top of csrc/CMakeLists.txt): the
// compiler may use any of them anywhere in those files.
bool supported(Isa isa) {
#ifdef HASHKERNELS_X86
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
                    __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt") &&
                    __builtin_cpu_supports("f16c");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  switch (isa) {
    case Isa::kAvx2:
      return avx2;
    case Isa::kAvx512:
      return avx512;
    case Isa::kAvx512Vpopcnt:
      return avx512 && __builtin_cpu_supports("avx512vpopcntdq");
    default:
      break;
  }
#endif
  return isa == Isa::kScalar || isa == Isa::kNeon;
}

Isa best() {
  for (Isa isa : {Isa::kNeon, Isa::kAvx512Vpopcnt, Isa::kAvx512, Isa::kAvx2}) {
    if (isa_available(isa)) return isa;
  }
  return Isa::kScalar;
}

std::atomic<Isa>& selection() {
  static std::atomic<Isa> isa{best()};
  return isa;
}

}  // namespace

const char* isa_name(Isa isa) noexcept {
  constexpr const char* kNames[kNumIsas] = {"scalar", "avx2", "avx512", "avx512_vpopcnt", "neon"};
  return kNames[static_cast<size_t>(isa)];
}

bool isa_available(Isa isa) noexcept { return compiled(isa) && supported(isa); }

bool arm_has_crc() noexcept {
#if defined(HASHKERNELS_NEON) && defined(__linux__)
  static const bool has = (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;
  return has;
#else
  return false;
#endif
}

Isa active_isa() noexcept { return selection().load(std::memory_order_relaxed); }

bool select_isa(Isa isa) noexcept {
  if (!isa_available(isa)) return false;
  selection().store(isa, std::memory_order_relaxed);
  return true;
}

}  // namespace hashkernels
