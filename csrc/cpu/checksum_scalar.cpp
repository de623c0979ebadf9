// Eight bytes a step through eight tables: table k holds the effect of a byte that k bytes follow.
#include "checksum_kernels.hpp"

namespace hashkernels {
namespace {

constexpr uint32_t kPolynomial = 0x82F63B78;  // reflected

struct Tables {
  uint32_t at[8][256];

  constexpr Tables() : at{} {
    for (uint32_t byte = 0; byte < 256; ++byte) {
      uint32_t crc = byte;
      for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? kPolynomial : 0);
      at[0][byte] = crc;
    }
    for (int k = 1; k < 8; ++k) {
      for (int byte = 0; byte < 256; ++byte) at[k][byte] = (at[k - 1][byte] >> 8) ^ at[0][at[k - 1][byte] & 0xFF];
    }
  }
};

constexpr Tables kTables;

uint32_t crc32c(const uint8_t* data, int64_t size, uint32_t crc) {
  const auto& table = kTables.at;
  int64_t i = 0;
  for (; i + 8 <= size; i += 8) {
    uint64_t word;
    __builtin_memcpy(&word, data + i, 8);
    word ^= crc;
    crc = table[7][word & 0xFF] ^ table[6][(word >> 8) & 0xFF] ^ table[5][(word >> 16) & 0xFF] ^
          table[4][(word >> 24) & 0xFF] ^ table[3][(word >> 32) & 0xFF] ^ table[2][(word >> 40) & 0xFF] ^
          table[1][(word >> 48) & 0xFF] ^ table[0][word >> 56];
  }
  for (; i < size; ++i) crc = (crc >> 8) ^ table[0][(crc ^ data[i]) & 0xFF];
  return crc;
}

}  // namespace

void crc32c_streams_scalar(const uint8_t* const* data, int64_t size, uint32_t* crc) {
  for (int i = 0; i < kCrcStreams; ++i) crc[i] = crc32c(data[i], size, crc[i]);
}

}  // namespace hashkernels
