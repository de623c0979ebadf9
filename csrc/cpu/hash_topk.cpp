#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "hash_probes.hpp"

namespace hashkernels {
namespace {

// The best of one query so far: (distance, position) in one number, in no order.
class Nearest {
 public:
  void start(int64_t k) { k_ = static_cast<size_t>(k); }

  bool may_enter(int distance) const { return static_cast<uint64_t>(distance) <= limit_ >> 32; }

  void add(int distance, uint32_t position) {
    const uint64_t key = static_cast<uint64_t>(distance) << 32 | position;
    if (key > limit_) return;
    keys_.push_back(key);
    if (keys_.size() >= 2 * k_ + kRoom) cut();
  }

  // Whether k are in, none of them farther than `distance`.
  bool complete_at(int distance) {
    if (keys_.size() < k_) return false;
    cut();
    return static_cast<int>(limit_ >> 32) <= distance;
  }

  void write(int32_t* distances, int64_t* indices) {
    if (keys_.size() > k_) cut();
    std::sort(keys_.begin(), keys_.end());
    for (size_t i = 0; i < k_; ++i) {
      const bool found = i < keys_.size();
      distances[i] = found ? static_cast<int32_t>(keys_[i] >> 32) : std::numeric_limits<int32_t>::max();
      indices[i] = found ? static_cast<int64_t>(keys_[i] & 0xFFFFFFFF) : -1;
    }
  }

 private:
  static constexpr size_t kRoom = 64;  // makes cuts rare

  void cut() {
    std::nth_element(keys_.begin(), keys_.begin() + static_cast<int64_t>(k_) - 1, keys_.end());
    keys_.resize(k_);
    limit_ = keys_.back();
  }

  size_t k_ = 0;
  uint64_t limit_ = std::numeric_limits<uint64_t>::max();  // what lies beyond cannot be among the k nearest
  std::vector<uint64_t> keys_;
};

// A group of queries that looks ever farther: ring after ring, in each ring chunk after chunk. A code shows up in the
// chunk that it is nearest in, the first of them, and is passed over in the others.
class Group {
 public:
  Group(const Kernels& isa, const HashTables& tables, const QueryRows& rows, int64_t first, int64_t last, int64_t k,
        const uint8_t* allowed)
      : tables_(tables), allowed_(allowed), first_(first), probes_(isa, tables, rows) {
    for (int c = 0; c < tables.num_chunks; ++c) masks_.emplace_back(tables.widths[c]);
    nearest_.resize(last - first);
    for (Nearest& nearest : nearest_) nearest.start(k);
    for (int64_t q = first; q < last; ++q) open_.push_back(static_cast<uint32_t>(q));
  }

  // Until every query is answered, or the next step would take the group beyond max_work a query.
  void run(double max_work) {
    for (int ring = 0;; ++ring) {
      for (int chunk = 0; chunk < tables_.num_chunks; ++chunk) {
        const double rows_per_bucket =
            static_cast<double>(tables_.num_codes) / static_cast<double>(int64_t{1} << tables_.widths[chunk]);
        const double expected = ring_size(tables_.widths[chunk], ring) * (1 + rows_per_bucket);
        const double work = static_cast<double>(probes_.work()) + expected * static_cast<double>(open_.size());
        if (expected > max_work || work > max_work * static_cast<double>(nearest_.size())) return;
        look(chunk, ring);
        if (ring == tables_.widths[chunk]) return open_.clear();  // that was every bucket of a chunk: all codes
        const int seen = tables_.num_chunks * ring + chunk;
        open_.erase(std::remove_if(open_.begin(), open_.end(),
                                   [&](uint32_t query) { return nearest_[query - first_].complete_at(seen); }),
                    open_.end());
        if (open_.empty()) return;
      }
    }
  }

  void write(int64_t k, int32_t* distances, int64_t* indices, uint8_t* done) {
    for (size_t i = 0; i < nearest_.size(); ++i) {
      const int64_t query = first_ + static_cast<int64_t>(i);
      done[query] = 1;
      nearest_[i].write(distances + query * k, indices + query * k);
    }
    for (uint32_t query : open_) done[query] = 0;
  }

 private:
  void look(int chunk, int ring) {
    masks_[chunk].extend_to(ring);
    const auto met_before = [&](uint32_t query, uint32_t row) {
      for (int other = 0; other < tables_.num_chunks; ++other) {
        if (other != chunk && probes_.distance(query, row, other) < ring + (other < chunk)) return true;
      }
      return false;
    };
    probes_.read(chunk, open_, masks_[chunk].ring(ring), masks_[chunk].ring_size(ring),
                 [&](uint32_t query, uint32_t row, int distance) {
                   Nearest& nearest = nearest_[query - first_];
                   if (!nearest.may_enter(distance) || met_before(query, row)) return;
                   const uint32_t position = tables_.ids[row];
                   if (allowed_ == nullptr || allowed_[position] != 0) nearest.add(distance, position);
                 });
  }

  const HashTables& tables_;
  const uint8_t* allowed_;
  int64_t first_;
  std::vector<Nearest> nearest_;
  std::vector<uint32_t> open_;
  Probes probes_;
  std::vector<Masks> masks_;
};

}  // namespace

Status topk(const Codes& queries, const HashTables& tables, int64_t k, const uint8_t* allowed, double max_work,
            int32_t* distances, int64_t* indices, uint8_t* done, int num_threads) noexcept {
  return or_out_of_memory([&] {
    const Kernels& isa = kernels();
    const QueryRows rows(queries, tables);
    return for_each_group(queries.num_codes, num_threads, [&](int64_t first, int64_t last) {
      Group group(isa, tables, rows, first, last, k, allowed);
      group.run(max_work);
      group.write(k, distances, indices, done);
    });
  });
}

}  // namespace hashkernels
