// The class ids of some queries, numbered.
#pragma once

#include <cstdint>

#include "parallel.hpp"

namespace hashkernels {

// 1, 2, ... in the order of the first query of each id; 0 is every other id.
class ClassIds {
 public:
  ClassIds() = default;
  ClassIds(const int64_t* ids, int64_t count);
  explicit operator bool() const { return static_cast<bool>(slots_); }

  // The numbers there are, 0 among them.
  uint32_t size() const { return size_; }

  uint32_t operator()(int64_t id) const { return slots_[slot(id)].number; }

 private:
  struct Slot {
    int64_t id;
    uint32_t number;
  };

  uint64_t slot(int64_t id) const {
    const uint64_t last = (uint64_t{1} << slot_bits_) - 1;
    uint64_t at = (static_cast<uint64_t>(id) * 0x9E3779B97F4A7C15u) >> (64 - slot_bits_);
    // Taken and of another id, in one condition: which ids the queries lack cannot be predicted.
    while (((slots_[at].id ^ id) & -static_cast<int64_t>(slots_[at].number != 0)) != 0) at = (at + 1) & last;
    return at;
  }

  int slot_bits_ = 0;
  uint32_t size_ = 1;
  Buffer<Slot> slots_;  // open addressing; free ones have the number 0
};

}  // namespace hashkernels
