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
#include "hash_work.hpp"
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

class Probes {
 public:
  // max_work: of all that is read, as HashWork has it; max_bucket: entries.
  Probes(const Kernels& isa, const HashTables& tables, const HashWork& costs, const QueryRows& queries, double max_work,
         double max_bucket)
      : isa_(isa),
        tables_(tables),
        costs_(costs),
        max_work_(max_work),
        max_bucket_(max_bucket),
        queries_(queries),
        fields_(tables),
        num_words_(words_per_code(tables.num_bytes)),
        entries_{tables.rows, queries.data(), num_words_, nullptr, tables.num_codes, fields_.tag_size()},
        probes_(kProbes),
        numbers_(2 * kCandidates),
        candidates_{numbers_.data(), numbers_.data() + kCandidates},
        distances_(kCandidates) {}

  // visit(query, row, distance) for every row in the buckets of `chunk` whose key differs from that of a query in
  // first_ring..last_ring bits, if its distance is at most reach(query), which may shrink but not grow meanwhile.
  //
  // Ends where the work exceeds its limit, as is_spent() says. A bucket beyond its own limit is left out, and its query
  // is in too_full().
  template <class Reach, class Visit>
  void read(int chunk, const std::vector<uint32_t>& queries, const Masks& masks, int first_ring, int last_ring,
            Reach&& reach, Visit&& visit) {
    starts_ = tables_.offsets + fields_.first_offset(chunk);
    entries_.slots = chunk == 0 ? nullptr : tables_.slots + (chunk - 1) * tables_.num_codes;
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
          list(listed, found, reach, visit);
          listed = found;
          for (; found != made; ++found) find(probes_[found % kProbes]);
          if (is_spent()) return;
        }
      }
    }
    list(listed, found, reach, visit);
    listed = found;
    for (; found != made; ++found) find(probes_[found % kProbes]);
    list(listed, found, reach, visit);
    compare(reach, visit);
  }

  // So far, in nanoseconds as HashWork has it.
  double work() const {
    return costs_.bucket() * static_cast<double>(num_buckets_) + costs_.entry() * static_cast<double>(num_entries_) +
           costs_.candidate() * static_cast<double>(num_measured_) + costs_.find() * static_cast<double>(num_near_);
  }
  int64_t num_entries() const { return num_entries_; }
  bool is_spent() const { return work() > max_work_; }
  std::vector<uint32_t>& too_full() { return too_full_; }

  int distance(uint32_t query, uint32_t row, int chunk) const {
    static_assert(kMaxChunkBits <= 2 * kMaxTagBits);
    const uint32_t bits =
        fields_.key(queries_[query], chunk) ^ fields_.key(tables_.rows + int64_t{row} * num_words_, chunk);
    return ones_of_tag(bits >> kMaxTagBits) + ones_of_tag(bits % (1 << kMaxTagBits));
  }

 private:
  static constexpr uint32_t kBurst = 32, kProbes = 2 * kBurst;
  static constexpr int kCandidates = 512;

  // A probe begins with the number of its bucket, until its place is read here.
  void find(Probe& probe) {
    probe.end = starts_[probe.begin + 1];
    probe.begin = starts_[probe.begin];
    ++num_buckets_;
    if (probe.end - probe.begin > max_bucket_) {
      too_full_.push_back(probe.query);
      probe.end = probe.begin;
    }
    num_entries_ += probe.end - probe.begin;
    if (entries_.slots != nullptr) {
      prefetch_ends(entries_.slots, probe, 1);
    } else if (tables_.rows != nullptr) {
      prefetch_ends(tables_.rows, probe, num_words_);
    }
  }

  // The first line of a bucket and the last one: few have more.
  template <class T>
  static void prefetch_ends(const T* entries, const Probe& probe, int64_t size) {
    __builtin_prefetch(entries + probe.begin * size);
    __builtin_prefetch(entries + std::max<int64_t>(probe.end * size, 1) - 1);
  }

  template <class Reach, class Visit>
  void list(uint32_t first, uint32_t last, Reach& reach, Visit& visit) {
    Probe* const probes = probes_.data() + first % kProbes;
    const int count = static_cast<int>(last - first);
    if (tables_.rows == nullptr) {  // a key that says all: nothing is left to compare
      for (int i = 0; i < count; ++i) {
        const Probe& probe = probes[i];
        num_near_ += probe.end - probe.begin;
        for (uint32_t row = probe.begin; row < probe.end; ++row) visit(probe.query, row, int{probe.ring});
      }
      return;
    }
    for (int done = 0; done < count;) {
      int listed;
      const Candidates free{candidates_.queries + num_candidates_, candidates_.rows + num_candidates_};
      done += isa_.list_candidates(entries_, probes + done, count - done, free, kCandidates - num_candidates_, &listed);
      num_candidates_ += listed;
      if (done == count) return;
      compare(reach, visit);
      if (is_spent()) return;
    }
  }

  template <class Reach, class Visit>
  void compare(Reach& reach, Visit& visit) {
    const int count = std::exchange(num_candidates_, 0);
    num_measured_ += count;
    uint32_t *const queries = candidates_.queries, *const rows = candidates_.rows;
    isa_.measure_candidates(candidates_, count, queries_.data(), tables_.rows, num_words_, distances_.data());
    int near = 0;
    for (int i = 0; i < count; ++i) {
      const bool is_near = distances_[i] <= reach(queries[i]);
      queries[near] = queries[i];
      rows[near] = rows[i];
      distances_[near] = distances_[i];
      near += is_near;
    }
    num_near_ += near;
    for (int i = 0; i < near; ++i) __builtin_prefetch(tables_.ids + rows[i]);
    for (int i = 0; i < near; ++i) visit(queries[i], rows[i], int{distances_[i]});
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
  const HashWork& costs_;
  double max_work_, max_bucket_;
  const QueryRows& queries_;
  ChunkFields fields_;
  int num_words_, num_candidates_ = 0;
  const uint32_t* starts_ = nullptr;
  BucketEntries entries_;
  std::vector<uint32_t> too_full_;
  int64_t num_buckets_ = 0, num_entries_ = 0, num_measured_ = 0, num_near_ = 0;
  std::vector<Probe> probes_;
  std::vector<uint32_t> numbers_;
  Candidates candidates_;  // in numbers_
  std::vector<uint16_t> distances_;
};

}  // namespace hashkernels
