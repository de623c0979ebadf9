// The CRC instruction of SSE4.2 takes eight bytes, one a cycle, but its result three cycles: four independent blocks
// keep it busy, where one alone would run at a third of that speed.
#include <nmmintrin.h>

#include "checksum_kernels.hpp"

namespace hashkernels {

void crc32c_streams_avx2(const uint8_t* const* data, int64_t size, uint32_t* crc) {
  uint64_t state[kCrcStreams] = {crc[0], crc[1], crc[2], crc[3]};
  int64_t i = 0;
  for (; i + 8 <= size; i += 8) {
    for (int stream = 0; stream < kCrcStreams; ++stream) {
      uint64_t word;
      __builtin_memcpy(&word, data[stream] + i, 8);
      state[stream] = _mm_crc32_u64(state[stream], word);
    }
  }
  for (int stream = 0; stream < kCrcStreams; ++stream) {
    crc[stream] = static_cast<uint32_t>(state[stream]);
    for (int64_t j = i; j < size; ++j) crc[stream] = _mm_crc32_u8(crc[stream], data[stream][j]);
  }
}

}  // namespace hashkernels
