// CRC-32C (Castagnoli; RFC 3720, appendix B.4) of the blocks of a file.
#pragma once

#include <cstdint>

#include "hashkernels/status.h"

namespace hashkernels {

// out[i] = the CRC-32C of bytes i * block_size .. (i + 1) * block_size - 1 of the `size` bytes at `data`, the last
// block being shorter where it has to: ceil(size / block_size) checksums.
Status crc32c_blocks(const uint8_t* data, int64_t size, int64_t block_size, uint32_t* out, int num_threads) noexcept;

}  // namespace hashkernels
