// Reads buckets for many queries at a time, so that the memory works on many reads at once: a bucket's place, its
// entries and their rows are each asked for well before they are used.
#pragma once

#include <algorithm>
#include <atomic>
#include <new>
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
  int64_t size_up_to(int ones) const { return starts_[ones + 1]; }

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

  // visit(query, row, distance) for every row in the buckets of `chunk` whose key is that of a query xor a mask.
  template <class Visit>
  void read(int chunk, const std::vector<uint32_t>& queries, const uint32_t* masks, int64_t num_masks, Visit&& visit) {
    chunk_ = chunk;
    starts_ = tables_.offsets + fields_.first_offset(chunk);
    slots_ = chunk == 0 ? nullptr : tables_.slots + (chunk - 1) * tables_.num_codes;
    int count = 0;
    for (uint32_t query : queries) {
      const uint32_t key = fields_.key(queries_[query], chunk);
      for (int64_t i = 0; i < num_masks; ++i) {
        probes_[count] = {query, key ^ masks[i], 0};
        __builtin_prefetch(starts_ + probes_[count].begin);
        if (++count < kProbes) continue;
        if (stop_requested()) return;
        read_buckets(count, visit);
        count = 0;
      }
    }
    read_buckets(count, visit);
  }

  // Buckets and rows read so far, and what visitors add in the same unit.
  int64_t work() const { return work_; }
  void add_work(int64_t work) { work_ += work; }

  int distance(uint32_t query, uint32_t row, int chunk) const {
    return popcount(fields_.key(queries_[query], chunk) ^ fields_.key(tables_.rows + int64_t{row} * num_words_, chunk));
  }

 private:
  static constexpr int kProbes = 128, kCandidates = 512;
  struct Probe {
    uint32_t query, begin, end;  // begin: the bucket, until its place is read
  };

  template <class Visit>
  void read_buckets(int count, Visit& visit) {
    work_ += count;
    if (tables_.rows == nullptr) return visit_buckets(count, visit);
    for (int i = 0; i < count; ++i) {
      Probe& probe = probes_[i];
      probe.end = starts_[probe.begin + 1];
      probe.begin = starts_[probe.begin];
      if (slots_ == nullptr) {
        __builtin_prefetch(tables_.rows + int64_t{probe.begin} * num_words_);
      } else {
        __builtin_prefetch(slots_ + probe.begin);
      }
    }
    int num_candidates = 0;
    for (int i = 0; i < count; ++i) {
      for (uint32_t at = probes_[i].begin; at < probes_[i].end; ++at) {
        const uint32_t row = slots_ == nullptr ? at : slots_[at];
        __builtin_prefetch(tables_.rows + int64_t{row} * num_words_);
        candidates_[num_candidates] = {probes_[i].query, row};
        if (++num_candidates < kCandidates) continue;
        compare(num_candidates, visit);
        num_candidates = 0;
      }
    }
    compare(num_candidates, visit);
  }

  template <class Visit>
  void compare(int count, Visit& visit) {
    work_ += count;
    isa_.measure_candidates(candidates_.data(), count, queries_.data(), tables_.rows, num_words_, distances_.data());
    for (int i = 0; i < count; ++i) visit(candidates_[i].query, candidates_[i].row, int{distances_[i]});
  }

  // A key that says all: nothing is left to compare.
  template <class Visit>
  void visit_buckets(int count, Visit& visit) {
    for (int i = 0; i < count; ++i) {
      const Probe& probe = probes_[i];
      const int distance = popcount(probe.begin ^ fields_.key(queries_[probe.query], chunk_));
      work_ += starts_[probe.begin + 1] - starts_[probe.begin];
      for (uint32_t row = starts_[probe.begin]; row < starts_[probe.begin + 1]; ++row)
        visit(probe.query, row, distance);
    }
  }

  const Kernels& isa_;
  const HashTables& tables_;
  const QueryRows& queries_;
  ChunkFields fields_;
  int num_words_, chunk_ = 0;
  const uint32_t *starts_ = nullptr, *slots_ = nullptr;
  int64_t work_ = 0;
  std::vector<Probe> probes_;
  std::vector<Candidate> candidates_;
  std::vector<uint16_t> distances_;
};

// Runs body(first, last) over groups of queries, large enough to hide the latency of the memory behind each other.
template <class Body>
Status for_each_group(int64_t num_queries, int num_threads, Body&& body) {
  constexpr int64_t kMaxGroup = 256;
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
