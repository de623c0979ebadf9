// Which codes of a block are relevant to which query, as bits: the planes of class_planes in histogram_kernels.hpp.
#pragma once

#include <cstdint>

#include "class_ids.hpp"
#include "hashkernels/counting.h"
#include "kernels.hpp"
#include "parallel.hpp"

namespace hashkernels {

// The classes of queries first..last - 1, and planes of a block of the database for them.
//
// Class ids: one plane for every id among the queries, and one for all others. A block is gone through once, whatever
// the number of classes. Multi-hot: one plane for every bit of the label words.
class ClassPlanes {
 public:
  // database_words: as Labels have them, the same for both sides.
  ClassPlanes(const Kernels& isa, Labels queries, int64_t first, int64_t last, int database_words);
  explicit operator bool() const { return ids_ && ends_ && classes_ && planes_; }

  // Query first + q is of the classes [class_ends()[q], class_ends()[q + 1]) of classes().
  const uint32_t* class_ends() const { return ends_.data(); }
  const uint32_t* classes() const { return classes_.data(); }

  // The planes of `count` items, from a column of kBlockCodes for every word of a label (or for the ids); zeros past
  // the count.
  const uint64_t* load(const uint64_t* columns, int64_t count);

 private:
  void collect_ids(const int64_t* ids);
  void collect_bits(const uint64_t* words);

  const Kernels& isa_;
  const int label_words_;
  const int64_t num_queries_;
  const ClassIds ids_;  // none where labels are multi-hot
  uint32_t num_planes_;
  Buffer<uint32_t> ends_, classes_;
  Buffer<uint64_t> planes_;
};

}  // namespace hashkernels
