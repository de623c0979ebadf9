#include "count_group.hpp"

#include <cstring>

#include "plane_blocks.hpp"
#include "search_plan.hpp"

namespace hashkernels {
namespace {

// From here on the work once a block (slicing, the carry table, the planes of classes) costs less than it saves.
constexpr int64_t kQueriesForPlanes = 4;

// One block's work is spread over many queries, and what they touch of their counters (of wide codes a small part)
// stays in the second-level cache.
constexpr int64_t kMaxPlaneGroup = 256;
constexpr int64_t kCounterBytes = int64_t{1} << 21;

// Adds one block to the histogram of one query. total and relevant share a 32-bit counter (16 bits each: a block has
// 512 codes), and neighbouring codes use different copies, so that equal distances do not wait for each other's store.
class BlockHistogram {
 public:
  explicit BlockHistogram(int64_t num_bins) : num_bins_(num_bins), counters_(kCopies * num_bins) {}
  explicit operator bool() const { return static_cast<bool>(counters_); }

  void add(const Compared& compared, int64_t size, int64_t* total, int64_t* relevant) {
    std::memset(counters_.data(), 0, sizeof(uint32_t) * kCopies * num_bins_);
    for (int64_t i = 0; i < size; ++i) {
      const uint32_t both = 1u + (static_cast<uint32_t>(compared.relevant[i]) << 16);
      counters_[(i % kCopies) * num_bins_ + compared.distances[i]] += both;
    }
    for (int64_t d = 0; d < num_bins_; ++d) {
      uint32_t sum = 0;
      for (int64_t copy = 0; copy < kCopies; ++copy) sum += counters_[copy * num_bins_ + d];
      total[d] += sum & 0xFFFF;
      relevant[d] += sum >> 16;
    }
  }

 private:
  static constexpr int64_t kCopies = 4;
  int64_t num_bins_;
  Buffer<uint32_t> counters_;
};

// Adds the counters of four buckets, eight words of four 16-bit fields, to every second of out[0..count).
void add_fields(const uint64_t* words, int64_t count, int64_t* out) {
  constexpr uint64_t kEven = 0x0000FFFF0000FFFFu;
  uint64_t even = 0, odd = 0;  // two 32-bit sums each
  for (int i = 0; i < kHitWords; ++i) {
    even += words[i] & kEven;
    odd += (words[i] >> 16) & kEven;
  }
  const uint32_t sums[4] = {static_cast<uint32_t>(even), static_cast<uint32_t>(odd), static_cast<uint32_t>(even >> 32),
                            static_cast<uint32_t>(odd >> 32)};
  for (int64_t i = 0; i < 4 && 2 * i < count; ++i) out[2 * i] += sums[i];
}

// Empties the counters of the queries of a task.
void flush(const CountingTask& task, uint64_t* counters) {
  const bool relevance = task.relevant != nullptr;
  const int64_t num_bins = task.num_bins(), words = histogram_words(task.queries.num_bytes, relevance);
  const int64_t words_a_set = histogram_words(task.queries.num_bytes, false);
  const uint64_t* from = counters;
  for (int64_t query = 0; query < task.last - task.first; ++query) {
    int64_t* total = task.total + query * num_bins;
    int64_t* relevant = task.relevant + query * num_bins;
    const uint64_t* others = from;
    const uint64_t* hits = from + words_a_set;
    for (int64_t half = 0; half < words_a_set; half += kHitWords) {
      const int64_t d = half / kHistogramGroupWords * 8 + half / kHitWords % 2;
      add_fields(others + half, num_bins - d, total + d);
      if (!relevance) continue;
      add_fields(hits + half, num_bins - d, total + d);
      add_fields(hits + half, num_bins - d, relevant + d);
    }
    from += words;
  }
  std::memset(counters, 0, sizeof(uint64_t) * words * (task.last - task.first));
}

// Null where codes are to be counted one by one. Without relevance that is never done.
AddToHistograms kernel_for(const Kernels& isa, const Codes& queries, bool relevance) {
  if (relevance && queries.num_codes < kQueriesForPlanes) return nullptr;
  return isa.select_histogram(queries.num_bytes, relevance);
}

bool count_by_code(const Kernels& isa, const LabelledQueries& queries, const CountingTask& task, BlockWalk& walk) {
  LabelledBlock block(task.database, task.database_labels);
  BlockHistogram histogram(task.num_bins());
  Compared compared;
  if (!block || !histogram) return false;
  for (int64_t b; walk.next(&b);) {
    block.load(b);
    for (int64_t q = 0; q < task.last - task.first; ++q) {
      block.compare(isa, queries, task.first + q, compared);
      histogram.add(compared, block.size(), task.total + q * task.num_bins(), task.relevant + q * task.num_bins());
    }
  }
  return true;
}

bool count_by_plane(const Kernels& isa, AddToHistograms add_to_histograms, const CountingTask& task, BlockWalk& walk) {
  const int64_t words = histogram_words(task.queries.num_bytes, task.relevant != nullptr) * (task.last - task.first);
  PlaneBlocks blocks(isa, task, walk);
  Buffer<uint64_t> counters(words);
  if (!blocks || !counters) return false;
  std::memset(counters.data(), 0, sizeof(uint64_t) * words);
  HistogramBlock block;
  int64_t held = 0;  // blocks in the counters
  while (blocks.next(&block)) {
    add_to_histograms(block, blocks.queries(), counters.data());
    if (++held == kHistogramBlocks) {
      flush(task, counters.data());
      held = 0;
    }
  }
  if (held > 0) flush(task, counters.data());
  return true;
}

}  // namespace

bool counts_by_plane(const Kernels& isa, const Codes& queries) { return kernel_for(isa, queries, true) != nullptr; }

bool can_count_alone(const Kernels& isa, const Codes& queries) { return kernel_for(isa, queries, false) != nullptr; }

bool count_alone(const Kernels& isa, const Codes& queries, const Codes& database, int64_t* total) {
  const CountingTask task{.queries = queries,
                          .database = database,
                          .query_labels = {nullptr, 0},
                          .database_labels = {nullptr, 0},
                          .first = 0,
                          .last = queries.num_codes,
                          .total = total,
                          .relevant = nullptr};
  BlockWalk walk({0, num_blocks(database.num_codes)});
  return count_by_plane(isa, kernel_for(isa, queries, false), task, walk);
}

int64_t queries_per_task(const Kernels& isa, const Codes& queries, bool relevance, int num_threads) {
  const int64_t num_queries = queries.num_codes;
  if (kernel_for(isa, queries, relevance) == nullptr) return kQueryGroup;
  const int64_t fitting = kCounterBytes / (8 * histogram_words(queries.num_bytes, relevance));
  const int64_t most = std::clamp(fitting, kQueryGroup, kMaxPlaneGroup);
  const int64_t wanted = divide_up(num_queries, num_threads);
  // Equal groups: a small last one would pay for its blocks like a whole one.
  return divide_up(num_queries, divide_up(num_queries, std::clamp(wanted, kQueryGroup, most)));
}

bool count_group(const Kernels& isa, const LabelledQueries& queries, const CountingTask& task, BlockWalk& walk) {
  const AddToHistograms kernel = kernel_for(isa, task.queries, task.relevant != nullptr);
  return kernel == nullptr ? count_by_code(isa, queries, task, walk) : count_by_plane(isa, kernel, task, walk);
}

}  // namespace hashkernels
