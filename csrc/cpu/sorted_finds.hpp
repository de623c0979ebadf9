// Finds of a radius search that are sorted as they are found.
#pragma once

#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include "finds.hpp"
#include "query_groups.hpp"

namespace hashkernels {

// What a group of queries has found: each find as one number that sorts by (query in the group, distance, position).
class SortedFinds final : public RangeFinds::State {
 public:
  using State::State;

  struct Group {
    int64_t first_query;
    std::vector<uint64_t> finds;
  };

  // Of queries that no other group has.
  void add(Group&& group) {
    const std::lock_guard<std::mutex> lock(mutex_);
    groups_.push_back(std::move(group));
  }

  Status write(int32_t* distances, int64_t* indices, int num_threads) const noexcept override {
    return parallel_for(static_cast<int64_t>(groups_.size()), num_threads, [&](int64_t i, int) {
      int64_t at = offsets[groups_[i].first_query];
      for (uint64_t find : groups_[i].finds) {
        distances[at] = distance_of(find);
        indices[at++] = position_of(find);
      }
    });
  }

  static uint64_t find(int64_t query, int distance, uint32_t position) {
    return static_cast<uint64_t>(query) << 48 | static_cast<uint64_t>(distance) << 32 | position;
  }
  static int64_t query_of(uint64_t find) { return static_cast<int64_t>(find >> 48); }

 private:
  static int32_t distance_of(uint64_t find) { return static_cast<int32_t>(find >> 32 & 0xFFFF); }
  static int64_t position_of(uint64_t find) { return static_cast<int64_t>(find & 0xFFFFFFFF); }

  std::mutex mutex_;
  std::vector<Group> groups_;
};
static_assert(kMaxGroup <= 1 << 16 && kMaxBits < 1 << 16);

}  // namespace hashkernels
