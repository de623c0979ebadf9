// Relevant codes at each distance, class by class: all codes of a class are relevant to all queries of it.
#pragma once

#include <cstdint>

#include "class_ids.hpp"
#include "hashkernels/counting.h"
#include "kernels.hpp"

namespace hashkernels {

// Labels are class ids.
class ClassLists {
 public:
  ClassLists(const Codes& queries, const Codes& database, Labels query_labels, Labels database_labels);
  explicit operator bool() const { return ids_ && by_class_ && query_ends_; }

  // Whether the pairs of one class are so few that to count them again costs less than to tell them apart from others.
  bool are_short() const { return are_short_; }

  // Adds to relevant, laid out as in retrieval_counts. Only for queries that can be counted alone (count_group.hpp).
  Status count(const Kernels& isa, int64_t* relevant, int num_threads) const;

 private:
  struct Piece;
  struct Slab;

  bool count_piece(const Kernels& isa, const Piece& piece, const Slab& slab, int64_t* relevant) const;

  const Codes queries_, database_;
  const int64_t *query_ids_, *database_ids_;
  const ClassIds ids_;
  bool are_short_ = false;
  Buffer<int64_t> by_class_, query_ends_;  // the queries of class c are by_class_[query_ends_[c - 1] .. query_ends_[c])
};

}  // namespace hashkernels
