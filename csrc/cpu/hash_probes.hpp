// Reads buckets for many queries at a time, so that the memory works on many reads at once: a bucket's place, its
// entries and their rows are each asked for well before they are used.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <new>
#include <utility>
#include <vector>

#include "hash_tables.hpp"
#include "hashkernels/threads.h"

namespace hashkernels {

// The queries with their bits in the order of the tables.
class QueryRows {
 public:
  QueryRows(const Codes& queries, const HashTables& tables);
  explicit operator bool() const { return static_cast<bool>(rows_); }
  const uint64_t* data() const { return rows_.data(); }
  const uint64_t* operator[](int64_t query) const { return rows_.data() + query * num_words_; }

 private:
  int64_t num_words_;
  Buffer<uint64_t> rows_;
};

// All keys of `width` bits by how many bits are set, as far as asked for.
class Masks {
 public:
  explicit Masks(int width) : width_(width), masks_{0}, starts_{0, 1} {}
  void extend_to(int ones);
  const uint32_t* ring(int ones) const { return masks_.data() + starts_[ones]; }
  int64_t ring_size(int ones) const { return starts_[ones + 1] - starts_[ones]; }

 private:
  int width_;
  std::vector<uint32_t> masks_;
  std::vector<int64_t> starts_;
};

// How many keys of `width` bits have `ones` bits set.
double ring_size(int width, int ones);

class Probes {
 public:
  Probes(const Kernels& isa, const HashTables& tables, const QueryRows& queries)
      : isa_(isa),
        tables_(tables),
        queries_(queries),
        fields_(tables),
        num_words_(words_per_code(tables.num_bytes)),
        probes_(kProbes),
        candidates_(kCandidates),
        distances_(kCandidates) {}

  // visit(query, row, distance) for every row in the buckets of `chunk` whose key differs from that of a query in
  // first_ring..last_ring bits, if its distance is at most reach(query), which may shrink but not grow meanwhile.
  template <class Reach, class Visit>
  void read(int chunk, const std::vector<uint32_t>& queries, const Masks& masks, int first_ring, int last_ring,
            Reach&& reach, Visit&& visit) {
    starts_ = tables_.offsets + fields_.first_offset(chunk);
    slots_ = chunk == 0 ? nullptr : tables_.slots + (chunk - 1) * tables_.num_codes;
    uint32_t made = 0, found = 0, listed = 0;  // probes by how far they are, each stage a burst behind the one before
    for (uint32_t query : queries) {
      const uint32_t key = fields_.key(queries_[query], chunk), tag = fields_.tag(queries_[query], chunk);
      for (int ring = first_ring; ring <= last_ring; ++ring) {
        const int rest = reach(query) - ring;
        if (rest < 0) break;
        const uint32_t* mask = masks.ring(ring);
        for (int64_t i = masks.ring_size(ring); i > 0; --i, ++mask) {
          const uint32_t bucket = key ^ *mask;
          __builtin_prefetch(starts_ + bucket);
          probes_[made++ % kProbes] = {
              query, bucket, 0, static_cast<uint16_t>(tag), static_cast<uint16_t>(ring), static_cast<uint16_t>(rest)};
          if (made % kBurst != 0) continue;
          if (stop_requested()) return;
          for (; listed != found; ++listed) list(probes_[listed % kProbes], reach, visit);
          for (; found != made; ++found) find(probes_[found % kProbes]);
        }
      }
    }
    for (; found != made; ++found) find(probes_[found % kProbes]);
    for (; listed != made; ++listed) list(probes_[listed % kProbes], reach, visit);
    compare(reach, visit);
  }

  // So far, with what visitors add.
  int64_t work() const { return work_; }
  void add_work(int64_t work) { work_ += work; }

  int distance(uint32_t query, uint32_t row, int chunk) const {
    static_assert(kMaxChunkBits <= 2 * kMaxTagBits);
    const uint32_t bits =
        fields_.key(queries_[query], chunk) ^ fields_.key(tables_.rows + int64_t{row} * num_words_, chunk);
    return ones_of_tag(bits >> kMaxTagBits) + ones_of_tag(bits % (1 << kMaxTagBits));
  }

 private:
  static constexpr uint32_t kBurst = 128, kProbes = 2 * kBurst;
  static constexpr int kCandidates = 512;
  struct Probe {
    uint32_t query, begin, end;  // begin: the bucket, until its place is read
    uint16_t tag, ring, rest;    // rest: how many bits outside of the chunk may differ
  };

  void find(Probe& probe) {
    probe.end = starts_[probe.begin + 1];
    probe.begin = starts_[probe.begin];
    work_ += kBucketWork + (probe.end - probe.begin);
    if (slots_ != nullptr) {
      __builtin_prefetch(slots_ + probe.begin);
    } else if (tables_.rows != nullptr) {
      __builtin_prefetch(tables_.rows + int64_t{probe.begin} * num_words_);
    }
  }

  template <class Reach, class Visit>
  void list(const Probe& probe, Reach& reach, Visit& visit) {
    if (tables_.rows == nullptr) {  // a key that says all: nothing is left to compare
      for (uint32_t row = probe.begin; row < probe.end; ++row) visit(probe.query, row, int{probe.ring});
      return;
    }
    for (uint32_t at = probe.begin; at < probe.end;) {
      const uint32_t last = at + std::min<uint32_t>(probe.end - at, kCandidates - num_candidates_);
      if (slots_ == nullptr) {
        list_rows(probe, at, last);
      } else if (probe.rest < fields_.tag_size()) {
        list_slots(probe, at, last);
      } else {
        list_all_slots(probe, at, last);
      }
      at = last;
      if (num_candidates_ == kCandidates) compare(reach, visit);
    }
  }

  void list_rows(const Probe& probe, uint32_t first, uint32_t last) {
    for (uint32_t row = first; row < last; ++row) candidates_[num_candidates_++] = {probe.query, row};
  }

  void list_all_slots(const Probe& probe, uint32_t first, uint32_t last) {
    for (uint32_t at = first; at < last; ++at) {
      const uint32_t row = fields_.row_of(slots_[at]);
      prefetch_row(row);
      candidates_[num_candidates_++] = {probe.query, row};
    }
  }

  // Those whose tags do not differ in too many bits already.
  void list_slots(const Probe& probe, uint32_t first, uint32_t last) {
    int count = num_candidates_;
    for (uint32_t at = first; at < last; ++at) {
      const uint32_t slot = slots_[at];
      candidates_[count] = {probe.query, fields_.row_of(slot)};
      count += ones_of_tag(fields_.tag_of(slot) ^ probe.tag) <= probe.rest;
    }
    for (int i = num_candidates_; i < count; ++i) prefetch_row(candidates_[i].row);
    num_candidates_ = count;
  }

  void prefetch_row(uint32_t number) const {
    const uint64_t* row = tables_.rows + int64_t{number} * num_words_;
    for (int word = 0; word < num_words_; word += 8) __builtin_prefetch(row + word);
  }

  template <class Reach, class Visit>
  void compare(Reach& reach, Visit& visit) {
    const int count = std::exchange(num_candidates_, 0);
    isa_.measure_candidates(candidates_.data(), count, queries_.data(), tables_.rows, num_words_, distances_.data());
    int near = 0;
    for (int i = 0; i < count; ++i) {
      const Candidate candidate = candidates_[i];
      if (distances_[i] > reach(candidate.query)) continue;
      __builtin_prefetch(tables_.ids + candidate.row);
      candidates_[near] = candidate;
      distances_[near++] = distances_[i];
    }
    for (int i = 0; i < near; ++i) visit(candidates_[i].query, candidates_[i].row, int{distances_[i]});
  }

  // How many bits are set; a table, since not every CPU that this file is for counts them in one instruction.
  static int ones_of_tag(uint32_t tag) {
    static constexpr auto kOnes = [] {
      std::array<uint8_t, 1 << kMaxTagBits> ones{};
      for (size_t i = 1; i < ones.size(); ++i) ones[i] = static_cast<uint8_t>(ones[i / 2] + i % 2);
      return ones;
    }();
    return kOnes[tag];
  }

  const Kernels& isa_;
  const HashTables& tables_;
  const QueryRows& queries_;
  ChunkFields fields_;
  int num_words_, num_candidates_ = 0;
  const uint32_t *starts_ = nullptr, *slots_ = nullptr;
  int64_t work_ = 0;
  std::vector<Probe> probes_;
  std::vector<Candidate> candidates_;
  std::vector<uint16_t> distances_;
};

inline constexpr int64_t kMaxGroup = 256;

// Runs body(first, last) over groups of queries, large enough to hide the latency of the memory behind each other.
template <class Body>
Status for_each_group(int64_t num_queries, int num_threads, Body&& body) {
  const int64_t group = std::clamp<int64_t>((num_queries + num_threads - 1) / num_threads, 1, kMaxGroup);
  std::atomic<bool> out_of_memory{false};
  const Status status = parallel_for((num_queries + group - 1) / group, num_threads, [&](int64_t task, int) {
    try {
      body(task * group, std::min((task + 1) * group, num_queries));
    } catch (const std::bad_alloc&) {
      out_of_memory.store(true, std::memory_order_relaxed);
    }
  });
  if (status != Status::kOk) return status;
  return out_of_memory.load(std::memory_order_relaxed) ? Status::kOutOfMemory : Status::kOk;
}

// body(), whose allocations may fail.
template <class Body>
Status or_out_of_memory(Body&& body) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return Status::kOutOfMemory;
  }
}

}  // namespace hashkernels
