#include "hashkernels/checksum.h"

#include <algorithm>

#include "kernels.hpp"
#include "parallel.hpp"

namespace hashkernels {

Status crc32c_blocks(const uint8_t* data, int64_t size, int64_t block_size, uint32_t* out, int num_threads) noexcept {
  const Crc32cStreams streams = kernels().crc32c_streams;
  const int64_t whole = size / block_size, rest = size % block_size;
  // Checksums blocks first, first + 1, ... < last, all of one length.
  const auto run = [&](int64_t first, int64_t last, int64_t length) {
    const uint8_t* at[kCrcStreams];
    uint32_t crc[kCrcStreams];
    for (int i = 0; i < kCrcStreams; ++i) {
      at[i] = data + std::min(first + i, last - 1) * block_size;
      crc[i] = ~uint32_t{0};
    }
    streams(at, length, crc);
    for (int64_t block = first; block < last; ++block) out[block] = ~crc[block - first];
  };
  const Status status = parallel_for((whole + kCrcStreams - 1) / kCrcStreams, num_threads, [&](int64_t group, int) {
    run(group * kCrcStreams, std::min((group + 1) * kCrcStreams, whole), block_size);
  });
  if (status == Status::kOk && rest != 0) run(whole, whole + 1, rest);
  return status;
}

}  // namespace hashkernels
