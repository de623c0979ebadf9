#include "plane_blocks.hpp"

#include <algorithm>

namespace hashkernels {

PlaneBlocks::PlaneBlocks(const Kernels& isa, const CountingTask& task, BlockWalk& walk)
    : isa_(isa),
      relevance_(task.relevant != nullptr),
      num_queries_(task.last - task.first),
      shape_(sliced_shape(task.queries.num_bytes)),
      classes_(isa, task.query_labels, task.first, relevance_ ? task.last : task.first, task.database_labels.words),
      reader_(task.database, relevance_ ? task.database_labels : Labels{nullptr, 0}, walk),
      planes_(shape_.plane_words()),
      table_(shape_.table_bytes()),
      picks_(num_queries_ * (shape_.nodes() + 1)),
      words_(num_queries_ * words_per_code(shape_.num_bytes)),
      parities_(num_queries_) {
  if (!picks_ || !words_ || !parities_) return;
  const int num_words = words_per_code(shape_.num_bytes);
  for (int64_t q = 0; q < num_queries_; ++q) {
    uint64_t* words = words_.data() + q * num_words;
    load_code(task.queries.row(task.first + q), shape_.num_bytes, words);
    write_picks(shape_, words, picks_.data() + q * (shape_.nodes() + 1));
    parities_[q] = static_cast<uint8_t>(parity_of(words, num_words));
  }
}

bool PlaneBlocks::next(HistogramBlock* block) {
  if (!reader_.next()) return false;
  isa_.sliced->slice(reader_.words(), 8 * shape_.num_bytes, planes_.data());
  isa_.sliced->build_table(planes_.data(), shape_, table_.data());
  for (int word = 0; word < kHitWords; ++word) {
    const int64_t rest = std::clamp<int64_t>(reader_.size() - 64 * word, 0, 64);
    valid_[word] = rest == 64 ? ~uint64_t{0} : (uint64_t{1} << rest) - 1;
  }
  const uint64_t* class_planes = relevance_ ? classes_.load(reader_.labels(), reader_.size()) : nullptr;
  *block = {table_.data(), valid_, class_planes, reader_.words(), reader_.parity()};
  return true;
}

}  // namespace hashkernels
