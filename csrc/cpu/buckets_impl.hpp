// buckets_kernels.hpp for any instruction set; everything here has internal linkage (see kernels.hpp).
//
// What is in a bucket, and what of it is near, is chance, so nothing branches on it. Nor does a store's place depend on
// an entry before all entries of many buckets are asked for: loads do not pass a store that may be to anywhere.
#pragma once

#include <cstdint>

#include "buckets_kernels.hpp"

namespace hashkernels {
namespace {

// The entries of a chunk: near(probe, first, count) has bit i where entry first + i may be near, of the `count` from
// `first` on; write(first, near, out) writes the rows of these one after the other, and then anything. What is read
// lies within the entries.
template <class Isa>
class Slots {
 public:
  explicit Slots(const BucketEntries& entries)
      : slots_(entries.slots), num_entries_(entries.num_entries), row_bits_(32 - entries.tag_size) {}

  unsigned near(const Probe& probe, uint32_t first, int count) const {
    if (first + int64_t{kBucketStep} <= num_entries_) {
      return Isa::near_slots(slots_ + first, row_bits_, probe.tag, probe.rest);
    }
    unsigned near = 0;
    for (int i = 0; i < count; ++i) {
      near |= unsigned{Isa::popcount((slots_[first + i] >> row_bits_) ^ probe.tag) <= probe.rest} << i;
    }
    return near;
  }

  void write(uint32_t first, unsigned near, uint32_t* out) const {
    const uint32_t mask = (uint32_t{1} << row_bits_) - 1;
    if (first + int64_t{kBucketStep} <= num_entries_) return Isa::write_slots(slots_ + first, mask, near, out);
    for (; near != 0; near &= near - 1) *out++ = slots_[first + __builtin_ctz(near)] & mask;
  }

 private:
  const uint32_t* slots_;
  int64_t num_entries_;
  int row_bits_;
};

template <class Isa>
class Rows {
 public:
  explicit Rows(const BucketEntries& entries)
      : rows_(entries.rows),
        queries_(entries.queries),
        num_entries_(entries.num_entries),
        num_words_(entries.num_words) {}

  unsigned near(const Probe& probe, uint32_t first, int count) const {
    const uint64_t query = queries_[int64_t{probe.query} * num_words_];
    const uint64_t* const rows = rows_ + int64_t{first} * num_words_;
    const int reach = probe.ring + probe.rest;
    if (num_words_ == 1 && first + int64_t{kBucketStep} <= num_entries_) return Isa::near_rows(rows, query, reach);
    unsigned near = 0;
    for (int i = 0; i < count; ++i) {
      near |= unsigned{Isa::popcount(rows[int64_t{i} * num_words_] ^ query) <= reach} << i;
    }
    return near;
  }

  void write(uint32_t first, unsigned near, uint32_t* out) const { Isa::write_rows(first, near, out); }

 private:
  const uint64_t *rows_, *queries_;
  int64_t num_entries_;
  int num_words_;
};

template <class Isa, template <class> class Entries>
int list_candidates_of(const BucketEntries& bucket_entries, Probe* probes, int num_probes, Candidates out, int room,
                       int* num_candidates) {
  constexpr int kSteps = 64;
  struct {
    uint32_t query, first, near;
  } steps[kSteps];
  const Entries<Isa> entries(bucket_entries);
  int listed = 0, next = 0, most = room / kBucketStep;
  while (next < num_probes && most > 0) {
    int num_steps = 0;
    for (; next < num_probes; ++next) {
      const Probe probe = probes[next];
      uint32_t begin = probe.begin;
      for (; begin < probe.end && num_steps < kSteps && num_steps < most; begin += kBucketStep) {
        const uint32_t left = probe.end - begin;
        const int count = left < kBucketStep ? static_cast<int>(left) : kBucketStep;
        const unsigned near = entries.near(probe, begin, count) & ((1U << count) - 1);
        steps[num_steps++] = {probe.query, begin, near};
      }
      if (begin < probe.end) {
        probes[next].begin = begin;
        break;
      }
    }
    for (int i = 0; i < num_steps; ++i) {
      for (int j = 0; j < kBucketStep; ++j) out.queries[listed + j] = steps[i].query;
      entries.write(steps[i].first, steps[i].near, out.rows + listed);
      listed += Isa::popcount(steps[i].near);
    }
    most = (room - listed) / kBucketStep;
  }
  *num_candidates = listed;
  return next;
}

template <class Isa>
int list_candidates(const BucketEntries& entries, Probe* probes, int num_probes, Candidates out, int room,
                    int* num_candidates) {
  return entries.slots == nullptr
             ? list_candidates_of<Isa, Rows>(entries, probes, num_probes, out, room, num_candidates)
             : list_candidates_of<Isa, Slots>(entries, probes, num_probes, out, room, num_candidates);
}

template <class Isa>
void measure_candidates(Candidates candidates, int count, const uint64_t* queries, const uint64_t* rows, int num_words,
                        uint16_t* distances) {
  constexpr int kAhead = 24;  // rows on their way from memory
  const auto prefetch = [&](int i) {
    const uint64_t* row = rows + int64_t{candidates.rows[i]} * num_words;
    for (int word = 0; word < num_words; word += 8) __builtin_prefetch(row + word);
  };
  for (int i = 0; i < (count < kAhead ? count : kAhead); ++i) prefetch(i);
  for (int i = 0; i < count; ++i) {
    if (i + kAhead < count) prefetch(i + kAhead);
    const uint64_t* query = queries + int64_t{candidates.queries[i]} * num_words;
    const uint64_t* row = rows + int64_t{candidates.rows[i]} * num_words;
    int distance = 0;
    for (int w = 0; w < num_words; ++w) distance += Isa::popcount(query[w] ^ row[w]);
    distances[i] = static_cast<uint16_t>(distance);
  }
}

}  // namespace
}  // namespace hashkernels
