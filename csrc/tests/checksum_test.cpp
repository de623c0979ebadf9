#include "hashkernels/checksum.h"

#include <cstring>

#include "testing.hpp"

namespace hashkernels {
namespace {

class Checksum : public testing::ForEachIsa {};

uint32_t whole(const void* data, int64_t size) {
  uint32_t crc = 0;
  EXPECT_EQ(crc32c_blocks(static_cast<const uint8_t*>(data), size, size, &crc, 1), Status::kOk);
  return crc;
}

TEST_P(Checksum, GivesThePublishedValues) {
  // The check value of the CRC catalogue, then RFC 3720, appendix B.4.
  EXPECT_EQ(whole("123456789", 9), 0xE3069283u);
  uint8_t bytes[32];
  std::memset(bytes, 0, sizeof(bytes));
  EXPECT_EQ(whole(bytes, 32), 0x8A9136AAu);
  std::memset(bytes, 0xFF, sizeof(bytes));
  EXPECT_EQ(whole(bytes, 32), 0x62A8AB43u);
  for (int i = 0; i < 32; ++i) bytes[i] = static_cast<uint8_t>(i);
  EXPECT_EQ(whole(bytes, 32), 0x46DD794Eu);
  for (int i = 0; i < 32; ++i) bytes[i] = static_cast<uint8_t>(31 - i);
  EXPECT_EQ(whole(bytes, 32), 0x113FDB5Cu);
}

uint32_t bit_by_bit(const uint8_t* data, int64_t size) {
  uint32_t crc = ~0u;
  for (int64_t i = 0; i < size; ++i) {
    crc ^= data[i];
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? 0x82F63B78u : 0);
  }
  return ~crc;
}

TEST_P(Checksum, EqualsBitByBitForEveryBlock) {
  std::mt19937 random(1);
  std::vector<uint8_t> data(1 + 1030);
  for (uint8_t& byte : data) byte = static_cast<uint8_t>(random());
  for (int64_t block : {1, 7, 8, 64, 100}) {
    for (int64_t size :
         {int64_t{0}, int64_t{1}, block - 1, block, 3 * block, 4 * block, 4 * block + 1, 9 * block + 5}) {
      for (int threads : {1, 3}) {
        const int64_t count = (size + block - 1) / block;
        std::vector<uint32_t> out(count + 1, 7);
        ASSERT_EQ(crc32c_blocks(data.data() + 1, size, block, out.data(), threads), Status::kOk);
        for (int64_t i = 0; i < count; ++i) {
          ASSERT_EQ(out[i], bit_by_bit(data.data() + 1 + i * block, std::min(block, size - i * block))) << block;
        }
        ASSERT_EQ(out[count], 7u);
      }
    }
  }
}

HASHKERNELS_FOR_EACH_ISA(Checksum);

}  // namespace
}  // namespace hashkernels
