#include "plane_blocks.hpp"

namespace hashkernels {

PlaneBlocks::PlaneBlocks(const Kernels& isa, const CountingTask& task)
    : isa_(isa),
      relevance_(task.relevant != nullptr),
      num_queries_(task.last - task.first),
      shape_(sliced_shape(task.queries.num_bytes)),
      classes_(isa, task.query_labels, task.first, relevance_ ? task.last : task.first, task.database_labels,
               task.database.num_codes),
      reader_(isa, Database(task.database)),
      table_(shape_.table_bytes()),
      picks_(num_queries_ * (shape_.nodes() + 1)),
      words_(num_queries_ * words_per_code(shape_.num_bytes)) {
  if (!picks_ || !words_) return;
  for (int64_t q = 0; q < num_queries_; ++q) {
    uint64_t* words = words_.data() + q * words_per_code(shape_.num_bytes);
    load_code(task.queries.row(task.first + q), shape_.num_bytes, words);
    write_picks(shape_, words, picks_.data() + q * (shape_.nodes() + 1));
  }
}

HistogramBlock PlaneBlocks::load(int64_t block) {
  reader_.load(block);
  isa_.sliced->build_table(reader_.planes(), shape_, table_.data());
  return {table_.data(), reader_.valid(), relevance_ ? classes_.load(block) : nullptr, reader_.words()};
}

}  // namespace hashkernels
