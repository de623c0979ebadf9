#include "pairwise_labels.hpp"

#include <algorithm>
#include <cstring>

#include "pairwise_kernels.hpp"

namespace hashkernels {
namespace {

int64_t num_tiles(int64_t items) { return (items + kPairTile - 1) / kPairTile; }

// Ranks of distinct ids in order of first appearance, and how often each came. Open addressing, at most half full.
class IdTable {
 public:
  explicit IdTable(int64_t max_ids) noexcept {
    while ((int64_t{1} << log_size_) < 2 * max_ids) ++log_size_;
    const size_t size = size_t{1} << log_size_;
    if (!ids_.allocate(size) || !ranks_.allocate(size) || !counts_.allocate(max_ids)) return;
    std::fill_n(ranks_.data(), size, -1);
    valid_ = true;
  }

  explicit operator bool() const { return valid_; }

  int64_t add(int64_t id) {
    const size_t slot = find(id);
    if (ranks_[slot] < 0) {
      ids_[slot] = id;
      counts_[num_ids_] = 0;
      ranks_[slot] = num_ids_++;
    }
    ++counts_[ranks_[slot]];
    return ranks_[slot];
  }

  // -1 where the id is not there.
  int64_t rank(int64_t id) const { return ranks_[find(id)]; }
  int64_t count(int64_t rank) const { return counts_[rank]; }
  int64_t num_ids() const { return num_ids_; }

 private:
  // The slot of an id, or the free one where it would go.
  size_t find(int64_t id) const {
    const size_t mask = (size_t{1} << log_size_) - 1;
    size_t slot = static_cast<size_t>(static_cast<uint64_t>(id) * 0x9E3779B97F4A7C15u >> (64 - log_size_));
    while (ranks_[slot] >= 0 && ids_[slot] != id) slot = (slot + 1) & mask;
    return slot;
  }

  int log_size_ = 1;
  int64_t num_ids_ = 0;
  bool valid_ = false;
  Buffer<int64_t> ids_, ranks_, counts_;
};

// Word `plane` of an item seen as consecutive values of Int (little-endian, as both supported CPUs are).
template <class Int>
Int plane_of(Labels labels, int64_t item, int plane) {
  Int value;
  const auto* words = static_cast<const uint8_t*>(labels.data) + item * labels.words * sizeof(uint64_t);
  std::memcpy(&value, words + plane * sizeof(Int), sizeof(Int));
  return value;
}

template <class Int>
Int union_of_plane(Labels labels, int64_t count, int plane) {
  Int value = 0;
  for (int64_t item = 0; item < count; ++item) value |= plane_of<Int>(labels, item, plane);
  return value;
}

}  // namespace

template <class Int>
bool PairLabels<Int>::build(Labels u_labels, int64_t num_rows, Labels v_labels, int64_t num_columns, bool itself,
                            bool all_classes) noexcept {
  itself_ = itself;
  multi_hot_ = u_labels.words > 0;
  if (multi_hot_) return build_planes(u_labels, num_rows, itself_ ? u_labels : v_labels, num_columns, all_classes);
  return build_ids(static_cast<const int64_t*>(u_labels.data), num_rows, static_cast<const int64_t*>(v_labels.data),
                   num_columns);
}

template <class Int>
bool PairLabels<Int>::build_ids(const int64_t* u_ids, int64_t num_rows, const int64_t* v_ids,
                                int64_t num_columns) noexcept {
  num_planes_ = 1;
  tile_size_ = kPairTile;
  IdTable table(num_rows);
  if (!table || !rows_.allocate(num_tiles(num_rows) * tile_size_)) return false;
  for (int64_t i = 0; i < num_rows; ++i) rows_[i] = static_cast<Int>(table.add(u_ids[i]));
  std::fill(rows_.data() + num_rows, rows_.data() + num_tiles(num_rows) * tile_size_, Int{-1});
  if (itself_) {
    for (int64_t rank = 0; rank < table.num_ids(); ++rank) {
      relevant_pairs_ += table.count(rank) * (table.count(rank) - 1);
    }
    return true;
  }
  if (!columns_.allocate(num_tiles(num_columns) * tile_size_)) return false;
  for (int64_t j = 0; j < num_columns; ++j) {
    const int64_t rank = table.rank(v_ids[j]);
    columns_[j] = static_cast<Int>(rank);
    if (rank >= 0) relevant_pairs_ += table.count(rank);
  }
  return true;
}

template <class Int>
bool PairLabels<Int>::build_planes(Labels u_labels, int64_t num_rows, Labels v_labels, int64_t num_columns,
                                   bool all_classes) noexcept {
  const int all_planes = u_labels.words * static_cast<int>(sizeof(uint64_t) / sizeof(Int));
  Buffer<int> used(all_planes);
  if (!used) return false;
  for (int plane = 0; plane < all_planes; ++plane) {
    const Int rows = union_of_plane<Int>(u_labels, num_rows, plane);
    const Int columns = itself_ ? rows : union_of_plane<Int>(v_labels, num_columns, plane);
    if ((all_classes ? rows | columns : rows & columns) != 0) used[num_planes_++] = plane;
  }
  tile_size_ = num_planes_ * kPairTile;
  const auto fill = [&](Buffer<Int>& out, Labels labels, int64_t count) {
    const int64_t size = num_tiles(count) * tile_size_;
    if (!out.allocate(size)) return false;
    std::fill_n(out.data(), size, Int{0});
    for (int64_t item = 0; item < count; ++item) {
      Int* lane = out.data() + item / kPairTile * tile_size_ + item % kPairTile;
      for (int p = 0; p < num_planes_; ++p) lane[p * kPairTile] = plane_of<Int>(labels, item, used[p]);
    }
    return true;
  };
  return fill(rows_, u_labels, num_rows) && (itself_ || fill(columns_, v_labels, num_columns));
}

template class PairLabels<int32_t>;
template class PairLabels<int64_t>;

}  // namespace hashkernels
