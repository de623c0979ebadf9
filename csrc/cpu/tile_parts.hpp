// What walks (block_walks.hpp) through parts of the database find for the queries of a tile.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

namespace hashkernels {

// A Part has two members `tile` and `first_block`: for which queries, and where its walk began.
template <class Part>
class TileParts {
 public:
  // Any thread. Throws std::bad_alloc.
  void add(std::unique_ptr<Part> part) {
    const std::lock_guard<std::mutex> lock(mutex_);
    parts_.push_back(std::move(part));
  }

  // Once all are in. Throws std::bad_alloc.
  void sort(int64_t num_tiles) {
    std::sort(parts_.begin(), parts_.end(), [](const auto& a, const auto& b) {
      return std::tie(a->tile, a->first_block) < std::tie(b->tile, b->first_block);
    });
    ends_.assign(num_tiles + 1, 0);
    for (const auto& part : parts_) ++ends_[part->tile + 1];
    for (int64_t tile = 0; tile < num_tiles; ++tile) ends_[tile + 1] += ends_[tile];
  }

  void clear() { parts_.clear(); }

  // Those of a tile, in the order of their blocks.
  std::span<const std::unique_ptr<Part>> of(int64_t tile) const {
    return {parts_.data() + ends_[tile], parts_.data() + ends_[tile + 1]};
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Part>> parts_;
  std::vector<int64_t> ends_;
};

}  // namespace hashkernels
