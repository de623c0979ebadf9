#include "blocks.hpp"

#include <algorithm>
#include <cstring>

namespace hashkernels {
namespace {

// The first kSize bytes of a row, in loads of whole 4, 2 and 1 bytes: gathered in memory first, they would be read back
// before they are written.
template <int kSize>
uint64_t load_bytes(const uint8_t* row) {
  uint64_t value = 0;
  int shift = 0;
  const auto append = [&](auto piece) {
    std::memcpy(&piece, row + shift / 8, sizeof(piece));
    value |= uint64_t{piece} << shift;
    shift += 8 * static_cast<int>(sizeof(piece));
  };
  if constexpr (kSize == 8) append(uint64_t{});
  if constexpr ((kSize & 4) != 0) append(uint32_t{});
  if constexpr ((kSize & 2) != 0) append(uint16_t{});
  if constexpr ((kSize & 1) != 0) append(uint8_t{});
  return value;
}

template <int kSize>
void load_column(const uint8_t* row, int64_t stride, int64_t count, uint64_t* out) {
  for (int64_t i = 0; i < count; ++i, row += stride) out[i] = load_bytes<kSize>(row);
}

using LoadColumn = void (*)(const uint8_t* row, int64_t stride, int64_t count, uint64_t* out);
constexpr LoadColumn kLoadColumn[] = {load_column<1>, load_column<2>, load_column<3>, load_column<4>,
                                      load_column<5>, load_column<6>, load_column<7>, load_column<8>};

}  // namespace

void load_code(const uint8_t* code, int num_bytes, uint64_t* out) {
  out[words_per_code(num_bytes) - 1] = 0;
  std::memcpy(out, code, num_bytes);
}

void load_block(const Codes& codes, int64_t first, uint64_t* out) {
  const int num_words = words_per_code(codes.num_bytes);
  const int64_t count = std::min(kBlockCodes, codes.num_codes - first);
  if (count < kBlockCodes) std::memset(out, 0, sizeof(uint64_t) * num_words * kBlockCodes);
  if (codes.num_bytes == 8 && codes.stride == 8) {
    std::memcpy(out, codes.row(first), 8 * count);
    return;
  }
  for (int word = 0; word < num_words; ++word) {
    const int size = std::min(8, codes.num_bytes - 8 * word);
    kLoadColumn[size - 1](codes.row(first) + 8 * word, codes.stride, count, out + word * kBlockCodes);
  }
}

}  // namespace hashkernels
