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
  ClassPlanes(const Kernels& isa, Labels queries, int64_t first, int64_t last, Labels database, int64_t num_database);
  explicit operator bool() const { return ids_ && ends_ && classes_ && planes_ && words_; }

  // Query first + q is of the classes [class_ends()[q], class_ends()[q + 1]) of classes().
  const uint32_t* class_ends() const { return ends_.data(); }
  const uint32_t* classes() const { return classes_.data(); }

  const uint64_t* load(int64_t block);

 private:
  void collect_ids(const int64_t* ids);
  void collect_bits(const uint64_t* words);
  void load_ids(const int64_t* ids, int64_t count);
  void load_bits(const uint64_t* words, int64_t count);

  const Kernels& isa_;
  const Labels database_;
  const int64_t num_queries_, num_database_;
  const ClassIds ids_;  // none where labels are multi-hot
  uint32_t num_planes_;
  Buffer<uint32_t> ends_, classes_;
  Buffer<uint64_t> planes_, words_;
};

}  // namespace hashkernels
