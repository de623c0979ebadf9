#include "hash_probes.hpp"

namespace hashkernels {

QueryRows::QueryRows(const Codes& queries, const HashTables& tables)
    : num_words_(words_per_code(tables.num_bytes)), rows_(queries.num_codes * num_words_) {
  const Kernels& isa = kernels();
  const int num_bits = 8 * tables.num_bytes;
  Buffer<uint64_t> words(num_words_ * kBlockCodes), planes(num_bits * kHitWords), reordered(num_bits * kHitWords);
  if (!rows_ || !words || !planes || !reordered) throw std::bad_alloc();
  for (int64_t first = 0; first < queries.num_codes; first += kBlockCodes) {
    load_block(queries, first, words.data());
    isa.sliced->slice(words.data(), num_bits, planes.data());
    reorder_block(isa, tables.order, num_bits, planes.data(), reordered.data(), words.data());
    for (int64_t i = 0; i < std::min(kBlockCodes, queries.num_codes - first); ++i) {
      for (int64_t w = 0; w < num_words_; ++w) {
        rows_[(first + i) * num_words_ + w] = words[w * kBlockCodes + i];
      }
    }
  }
}

void Masks::extend_to(int most) {
  for (int ones = static_cast<int>(starts_.size()) - 1; ones <= std::min(most, width_); ++ones) {
    for (uint32_t mask = (uint32_t{1} << ones) - 1; mask < uint32_t{1} << width_;) {
      masks_.push_back(mask);
      // The next larger number with as many bits set (Gosper).
      const uint32_t lowest = mask & -mask, carried = mask + lowest;
      mask = (((carried ^ mask) >> 2) >> __builtin_ctz(lowest)) | carried;
    }
    starts_.push_back(static_cast<int64_t>(masks_.size()));
  }
}

}  // namespace hashkernels
