// The k nearest codes of one query over one part of the database, met in the order of their indices.
//
// Counting buckets: a code enters while its distance is below the threshold, and the threshold falls as soon as k codes
// lie below it. Entries stay in the order in which they came, so the lowest index wins among equal distances by itself.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace hashkernels {

class Selection {
 public:
  struct Entry {
    uint32_t index;
    int32_t distance;
  };

  // Room for this many entries makes dropping the losers (compact) rare enough to cost a constant per entry.
  static int64_t capacity(int64_t k, int64_t num_codes) { return std::min(num_codes, 2 * k + 512); }

  // entries: room for `capacity`; counts: max_distance + 1.
  void init(int max_distance, int64_t capacity, Entry* entries, uint32_t* counts) {
    max_distance_ = max_distance;
    capacity_ = capacity;
    entries_ = entries;
    counts_ = counts;
  }

  // Empty, for k codes of which it is guessed that they all lie below `limit`.
  void start(int64_t k, int limit) {
    k_ = k;
    limit_ = threshold_ = std::min(limit, max_distance_ + 1);
    below_ = size_ = 0;
    std::memset(counts_, 0, sizeof(uint32_t) * limit_);
  }

  // Codes at this distance or beyond can no longer be among the k nearest. At most max_distance + 1, at least 0.
  int threshold() const { return threshold_; }

  // Takes a code if its distance is below the threshold; its index is larger than any before. Returns whether the
  // threshold fell.
  bool add(uint32_t index, int distance) {
    if (distance >= threshold_) return false;
    if (size_ == capacity_) compact();
    entries_[size_++] = {index, distance};
    ++counts_[distance];
    if (++below_ < k_) return false;
    while (below_ >= k_) below_ -= counts_[--threshold_];
    return true;
  }

  // What was taken. Up to the distance of the k-th nearest it is all there; beyond, compact() may have dropped some.
  const Entry* begin() const { return entries_; }
  const Entry* end() const { return entries_ + size_; }
  int64_t size() const { return size_; }
  // How many were taken at `distance`, even if dropped later.
  int64_t count(int distance) const { return distance < limit_ ? counts_[distance] : 0; }

  // What add(., distance) will touch.
  void prefetch(int distance) const {
    __builtin_prefetch(entries_ + size_, 1);
    __builtin_prefetch(counts_ + distance, 1);
  }

 private:
  // Drops what is not among the k nearest so far.
  void compact() {
    int64_t ties = k_ - below_, kept = 0;
    for (int64_t i = 0; i < size_; ++i) {
      const Entry entry = entries_[i];
      const bool keep = entry.distance < threshold_ || (entry.distance == threshold_ && ties-- > 0);
      entries_[kept] = entry;
      kept += keep;
    }
    size_ = kept;
  }

  int64_t k_, below_, size_, capacity_;  // below_: entries with distance < threshold_
  int threshold_, limit_, max_distance_;
  Entry* entries_;
  uint32_t* counts_;
};

}  // namespace hashkernels
