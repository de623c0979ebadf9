#include "scan.hpp"

#include <algorithm>

namespace hashkernels {

QueryWords::QueryWords(const Codes& queries)
    : num_words_(words_per_code(queries.num_bytes)), words_(queries.num_codes * num_words_) {
  if (!words_) return;
  for (int64_t q = 0; q < queries.num_codes; ++q) {
    load_code(queries.row(q), queries.num_bytes, words_.data() + q * num_words_);
  }
}

BlockReader::BlockReader(const Codes& database, const uint8_t* allowed)
    : database_(database), allowed_(allowed), words_(words_per_code(database.num_bytes) * kBlockCodes) {}

bool BlockReader::load(int64_t block) {
  const int64_t first = block * kBlockCodes;
  const int64_t count = std::min(kBlockCodes, database_.num_codes - first);
  uint64_t any = 0;
  for (int word = 0; word < kHitWords; ++word) {
    const int64_t rest = count - 64 * word;
    uint64_t mask = rest >= 64 ? ~uint64_t{0} : rest <= 0 ? 0 : (uint64_t{1} << rest) - 1;
    if (allowed_ != nullptr) {
      const uint8_t* flags = allowed_ + first + 64 * word;
      for (int64_t i = 0; i < std::min<int64_t>(rest, 64); ++i) mask &= ~(static_cast<uint64_t>(flags[i] == 0) << i);
    }
    valid_[word] = mask;
    any |= mask;
  }
  if (any == 0) return false;
  // Whole blocks of packed, aligned 8-byte codes already have the form that kernels read.
  const uint8_t* row = database_.row(first);
  if (count == kBlockCodes && database_.num_bytes == 8 && database_.stride == 8 &&
      reinterpret_cast<uintptr_t>(row) % alignof(uint64_t) == 0) {
    current_ = reinterpret_cast<const uint64_t*>(row);
  } else {
    load_block(database_, first, words_.data());
    current_ = words_.data();
  }
  return true;
}

}  // namespace hashkernels
