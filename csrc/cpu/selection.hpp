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
  // Room for this many entries makes dropping the losers (compact) rare enough to cost a constant per entry.
  static int64_t capacity(int64_t k, int64_t num_codes) { return std::min(num_codes, 2 * k + 512); }

  // distances, indices: room for `capacity` entries; counts: max_distance + 1.
  void init(int64_t k, int max_distance, int64_t capacity, uint32_t* indices, uint16_t* distances, uint32_t* counts) {
    max_distance_ = max_distance;
    capacity_ = capacity;
    indices_ = indices;
    distances_ = distances;
    counts_ = counts;
    start(k, max_distance + 1);
  }

  // Empty, for k codes of which it is guessed that they all lie below `limit`.
  void start(int64_t k, int limit) {
    k_ = k;
    limit_ = threshold_ = std::min(limit, max_distance_ + 1);
    below_ = size_ = 0;
    std::memset(counts_, 0, sizeof(uint32_t) * (max_distance_ + 1));
  }

  // Whether the guess held: after a scan over num_codes codes, the k nearest of them are in.
  bool complete(int64_t num_codes) const { return threshold_ < limit_ || below_ >= std::min(k_, num_codes); }

  // Codes at this distance or beyond can no longer be among the k nearest. At most max_distance + 1, at least 0.
  int threshold() const { return threshold_; }

  // distance < threshold(); index larger than any before.
  void add(uint32_t index, int distance) {
    if (size_ == capacity_) compact();
    indices_[size_] = index;
    distances_[size_] = static_cast<uint16_t>(distance);
    ++size_;
    ++counts_[distance];
    ++below_;
    while (below_ >= k_) below_ -= counts_[--threshold_];
  }

  // Drops what is not among the k nearest so far.
  void compact() {
    int64_t ties = k_ - below_, kept = 0;
    for (int64_t i = 0; i < size_; ++i) {
      const int distance = distances_[i];
      const bool keep = distance < threshold_ || (distance == threshold_ && ties-- > 0);
      indices_[kept] = indices_[i];
      distances_[kept] = static_cast<uint16_t>(distance);
      kept += keep;
    }
    size_ = kept;
  }

  int64_t size() const { return size_; }
  uint32_t index(int64_t i) const { return indices_[i]; }
  int distance(int64_t i) const { return distances_[i]; }

 private:
  int64_t k_, below_, size_, capacity_;  // below_: entries with distance < threshold_
  int threshold_, limit_, max_distance_;
  uint32_t* indices_;
  uint16_t* distances_;
  uint32_t* counts_;  // entries ever taken at each distance
};

}  // namespace hashkernels
