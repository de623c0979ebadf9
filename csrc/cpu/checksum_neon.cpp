// The CRC instructions of Arm, an option of ARMv8.0 that ARMv8.1 always has: eight bytes a step, and as on x86 (see
// checksum_avx2.cpp) four independent blocks hide that a result takes longer than an instruction.
#include <arm_acle.h>

#include "checksum_kernels.hpp"

namespace hashkernels {

void crc32c_streams_neon_crc(const uint8_t* const* data, int64_t size, uint32_t* crc) {
  uint32_t state[kCrcStreams] = {crc[0], crc[1], crc[2], crc[3]};
  int64_t i = 0;
  for (; i + 8 <= size; i += 8) {
    for (int stream = 0; stream < kCrcStreams; ++stream) {
      uint64_t word;
      __builtin_memcpy(&word, data[stream] + i, 8);
      state[stream] = __crc32cd(state[stream], word);
    }
  }
  for (int stream = 0; stream < kCrcStreams; ++stream) {
    for (int64_t j = i; j < size; ++j) state[stream] = __crc32cb(state[stream], data[stream][j]);
    crc[stream] = state[stream];
  }
}

}  // namespace hashkernels
