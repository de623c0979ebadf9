#include "parity_reader.hpp"

#include <algorithm>

namespace hashkernels {
namespace {

// The id itself counts as one.
int words_per_label(Labels labels) { return labels.data == nullptr ? 0 : std::max(labels.words, 1); }

}  // namespace

ParityReader::ParityReader(const Codes& codes, Labels labels, BlockWalk& walk)
    : codes_(codes),
      label_source_(labels),
      num_words_(words_per_code(codes.num_bytes)),
      num_columns_(num_words_ + words_per_label(labels)),
      walk_(walk),
      source_(num_words_ * kBlockCodes),
      staged_(num_columns_ * 2 * kRoom),
      block_(num_columns_ * kBlockCodes) {}

bool ParityReader::next() {
  for (;;) {
    for (int parity = 0; parity < 2; ++parity) {
      if (waiting_[parity] >= kBlockCodes || (at_end_ && waiting_[parity] > 0)) {
        take(parity);
        return true;
      }
    }
    if (at_end_) return false;
    stage();
  }
}

void ParityReader::stage() {
  int64_t block;
  at_end_ = !walk_.next(&block);
  if (at_end_) return;
  const int64_t first = block * kBlockCodes, count = std::min(kBlockCodes, codes_.num_codes - first);
  load_block(codes_, first, source_.data());
  // Both places are found and one is taken: nobody could predict a branch.
  uint16_t places[kBlockCodes];
  int64_t odd = 0;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t parity = parity_of(source_.data() + i, num_words_, kBlockCodes);
    const int64_t if_even = waiting_[0] + i - odd, if_odd = kRoom + waiting_[1] + odd;
    places[i] = static_cast<uint16_t>(if_even ^ ((if_even ^ if_odd) & -parity));
    odd += parity;
  }
  waiting_[0] += count - odd;
  waiting_[1] += odd;

  uint64_t* to = staged_.data();
  for (int column = 0; column < num_words_; ++column, to += 2 * kRoom) {
    const uint64_t* from = source_.data() + column * kBlockCodes;
    for (int64_t i = 0; i < count; ++i) to[places[i]] = from[i];
  }
  const int num_labels = num_columns_ - num_words_;
  for (int column = 0; column < num_labels; ++column, to += 2 * kRoom) {
    const uint64_t* from = static_cast<const uint64_t*>(label_source_.data) + first * num_labels + column;
    for (int64_t i = 0; i < count; ++i) to[places[i]] = from[i * num_labels];
  }
}

void ParityReader::take(int parity) {
  parity_ = parity;
  size_ = std::min(waiting_[parity], kBlockCodes);
  waiting_[parity] -= size_;
  for (int column = 0; column < num_columns_; ++column) {
    uint64_t* staged = staged_.data() + (2 * column + parity) * kRoom;
    uint64_t* block = block_.data() + column * kBlockCodes;
    std::fill(std::copy_n(staged, size_, block), block + kBlockCodes, 0);
    std::copy_n(staged + size_, waiting_[parity], staged);
  }
}

}  // namespace hashkernels
