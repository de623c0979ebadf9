#include <atomic>
#include <cstring>

#include "counting_blocks.hpp"

namespace hashkernels {
namespace {

// Adds one block to the histogram of one query. total and relevant share a 32-bit counter (16 bits each: a block has
// 512 codes), and neighbouring codes use different copies, so that equal distances do not wait for each other's store.
class BlockHistogram {
 public:
  explicit BlockHistogram(int64_t num_bins) : num_bins_(num_bins), counters_(kCopies * num_bins) {}
  explicit operator bool() const { return static_cast<bool>(counters_); }

  void add(const LabelledBlock& block, int64_t* total, int64_t* relevant) {
    std::memset(counters_.data(), 0, sizeof(uint32_t) * kCopies * num_bins_);
    const uint16_t* distances = block.distances();
    const uint8_t* is_relevant = block.relevant();
    for (int64_t i = 0; i < block.size(); ++i) {
      counters_[(i % kCopies) * num_bins_ + distances[i]] += 1u + (static_cast<uint32_t>(is_relevant[i]) << 16);
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

}  // namespace

// A task is a group of queries against a part of the database. With few queries the database is split so that every
// thread has work; each part then counts into an array of its own, and integers add up to the same sums in any order.
Status retrieval_counts(const Codes& queries, const Codes& database, Labels query_labels, Labels database_labels,
                        int64_t* total, int64_t* relevant, int num_threads) noexcept {
  const Kernels& isa = kernels();
  const int64_t num_bins = 8 * int64_t{queries.num_bytes} + 1;
  const int64_t size = queries.num_codes * num_bins;
  const LabelledQueries labelled(queries, query_labels);
  if (!labelled) return Status::kOutOfMemory;

  const int64_t num_groups = (queries.num_codes + kQueryGroup - 1) / kQueryGroup;
  const int64_t blocks = num_blocks(database.num_codes);
  const int64_t wanted = num_groups >= 2 * num_threads ? 1 : (2 * num_threads + num_groups - 1) / num_groups;
  const int64_t num_parts = std::max<int64_t>(1, std::min(num_threads == 1 ? 1 : wanted, blocks));
  Buffer<int64_t> partial;  // parts after the first: [part - 1][total, relevant][query][distance]
  if (!partial.allocate((num_parts - 1) * 2 * size)) return Status::kOutOfMemory;
  std::memset(partial.data(), 0, sizeof(int64_t) * (num_parts - 1) * 2 * size);
  std::memset(total, 0, sizeof(int64_t) * size);
  std::memset(relevant, 0, sizeof(int64_t) * size);

  std::atomic<bool> out_of_memory{false};
  const Status status = parallel_for(num_groups * num_parts, num_threads, [&](int64_t task, int) {
    const int64_t part = task % num_parts;
    const int64_t first = task / num_parts * kQueryGroup;
    const int64_t last = std::min(first + kQueryGroup, queries.num_codes);
    int64_t* part_total = part == 0 ? total : partial.data() + (part - 1) * 2 * size;
    int64_t* part_relevant = part == 0 ? relevant : part_total + size;
    LabelledBlock block(database, database_labels);
    BlockHistogram histogram(num_bins);
    if (!block || !histogram) {
      out_of_memory = true;
      return;
    }
    for (int64_t b = blocks * part / num_parts; b < blocks * (part + 1) / num_parts; ++b) {
      block.load(b);
      for (int64_t q = first; q < last; ++q) {
        block.compare(isa, labelled, q);
        histogram.add(block, part_total + q * num_bins, part_relevant + q * num_bins);
      }
    }
  });
  if (status != Status::kOk) return status;
  if (out_of_memory) return Status::kOutOfMemory;
  for (int64_t part = 1; part < num_parts; ++part) {
    const int64_t* sums = partial.data() + (part - 1) * 2 * size;
    for (int64_t i = 0; i < size; ++i) {
      total[i] += sums[i];
      relevant[i] += sums[size + i];
    }
  }
  return Status::kOk;
}

}  // namespace hashkernels
