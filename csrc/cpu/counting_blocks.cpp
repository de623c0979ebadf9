#include "counting_blocks.hpp"

#include <cstring>

namespace hashkernels {
namespace {

// Label words an item: the id itself counts as one.
int64_t words_per_label(Labels labels) { return std::max(labels.words, 1); }

}  // namespace

LabelledQueries::LabelledQueries(const Codes& codes, Labels labels)
    : num_words_(words_per_code(codes.num_bytes)),
      label_stride_(words_per_label(labels)),
      words_(codes.num_codes * num_words_),
      labels_(codes.num_codes * label_stride_) {
  if (!*this) return;
  for (int64_t q = 0; q < codes.num_codes; ++q)
    load_code(codes.row(q), codes.num_bytes, words_.data() + q * num_words_);
  std::memcpy(labels_.data(), labels.data, 8 * codes.num_codes * label_stride_);
}

LabelledBlock::LabelledBlock(const Codes& codes, Labels labels)
    : codes_(codes),
      label_source_(labels),
      num_words_(words_per_code(codes.num_bytes)),
      words_(num_words_ * kBlockCodes),
      labels_(words_per_label(labels) * kBlockCodes) {}

void LabelledBlock::load(int64_t block) {
  const int64_t first = block * kBlockCodes;
  size_ = std::min(kBlockCodes, codes_.num_codes - first);
  load_block(codes_, first, words_.data());
  const int64_t stride = words_per_label(label_source_);
  const uint64_t* source = static_cast<const uint64_t*>(label_source_.data) + first * stride;
  for (int64_t word = 0; word < stride; ++word) {
    uint64_t* column = labels_.data() + word * kBlockCodes;
    for (int64_t i = 0; i < size_; ++i) column[i] = source[i * stride + word];
    std::fill(column + size_, column + kBlockCodes, 0);
  }
}

void LabelledBlock::compare(const Kernels& isa, const LabelledQueries& queries, int64_t query, Compared& out) const {
  isa.hamming_block(queries.words(query), words_.data(), num_words_, out.distances);
  const uint64_t* label = queries.label_words(query);
  if (label_source_.words == 0) {
    isa.relevant_ids(static_cast<int64_t>(*label), reinterpret_cast<const int64_t*>(labels_.data()), out.relevant);
  } else {
    isa.relevant_bits(label, labels_.data(), label_source_.words, out.relevant);
  }
}

}  // namespace hashkernels
