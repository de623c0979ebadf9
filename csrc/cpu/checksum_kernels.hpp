// The inner kernel of checksum.h.
#pragma once

#include <cstdint>

namespace hashkernels {

// Blocks that one call takes: enough that a CPU is never waiting for the checksum of one.
constexpr int kCrcStreams = 4;

// crc[i] becomes the CRC-32C register (not inverted) after the `size` bytes at data[i].
using Crc32cStreams = void (*)(const uint8_t* const* data, int64_t size, uint32_t* crc);

void crc32c_streams_scalar(const uint8_t* const* data, int64_t size, uint32_t* crc);
void crc32c_streams_avx2(const uint8_t* const* data, int64_t size, uint32_t* crc);
void crc32c_streams_neon_crc(const uint8_t* const* data, int64_t size, uint32_t* crc);

}  // namespace hashkernels
