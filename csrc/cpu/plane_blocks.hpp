// A database block by block as the kernels of histogram_kernels.hpp read it, for the queries of one task.
#pragma once

#include <cstdint>

#include "class_planes.hpp"
#include "count_group.hpp"
#include "histogram_kernels.hpp"
#include "parity_reader.hpp"
#include "scan.hpp"

namespace hashkernels {

class PlaneBlocks {
 public:
  // Without task.relevant no label is read.
  PlaneBlocks(const Kernels& isa, const CountingTask& task, BlockWalk& walk);
  explicit operator bool() const { return classes_ && reader_ && planes_ && table_ && picks_ && words_ && parities_; }

  HistogramQueries queries() const {
    return {num_queries_,       shape_.num_bytes, picks_.data(),   classes_.class_ends(),
            classes_.classes(), words_.data(),    parities_.data()};
  }

  // False where no block is left.
  bool next(HistogramBlock* block);

 private:
  const Kernels& isa_;
  const bool relevance_;
  const int64_t num_queries_;
  const SlicedShape shape_;
  ClassPlanes classes_;
  ParityReader reader_;
  alignas(64) uint64_t valid_[kHitWords];
  Buffer<uint64_t> planes_;
  Buffer<uint8_t> table_;
  Buffer<uint16_t> picks_;
  Buffer<uint64_t> words_;
  Buffer<uint8_t> parities_;
};

}  // namespace hashkernels
