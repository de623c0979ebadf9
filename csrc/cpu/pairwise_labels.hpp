// Labels in the form in which a tile of pairs compares them.
//
// Class ids become ranks, so that any int64 fits a lane: ids of u that are equal share a rank, and an id that only v
// has gets none. Multi-hot words become planes of bits as wide as a lane; planes that are empty on either side are left
// out, unless all classes of an item are to be counted.
#pragma once

#include <cstdint>

#include "hashkernels/counting.h"
#include "parallel.hpp"

namespace hashkernels {

template <class Int>
class PairLabels {
 public:
  // itself: v is u, and v_labels says nothing. all_classes: of multi-hot labels, those of one side alone as well. False
  // where there is no memory.
  bool build(Labels u_labels, int64_t num_rows, Labels v_labels, int64_t num_columns, bool itself,
             bool all_classes) noexcept;

  // [num_planes()][kPairTile] lanes of tile `tile`.
  const Int* row_tile(int64_t tile) const { return rows_.data() + tile * tile_size_; }
  const Int* column_tile(int64_t tile) const { return (itself_ ? rows_ : columns_).data() + tile * tile_size_; }

  int num_planes() const { return num_planes_; }
  bool multi_hot() const { return multi_hot_; }

  // Relevant pairs (i, j), without i == j where v is u. Known at once for class ids only.
  int64_t relevant_pairs() const { return relevant_pairs_; }

 private:
  bool build_ids(const int64_t* u_ids, int64_t num_rows, const int64_t* v_ids, int64_t num_columns) noexcept;
  bool build_planes(Labels u_labels, int64_t num_rows, Labels v_labels, int64_t num_columns, bool all_classes) noexcept;

  Buffer<Int> rows_, columns_;
  int64_t tile_size_ = 0, relevant_pairs_ = 0;
  int num_planes_ = 0;
  bool multi_hot_ = false, itself_ = false;
};

extern template class PairLabels<int32_t>;
extern template class PairLabels<int64_t>;

}  // namespace hashkernels
