// Whether two items are relevant to each other.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "hashkernels/counting.h"

namespace hashkernels::cuda {

// What is staged of the labels of each item: its id, or the first word of its classes.
struct FirstLabel {
  __device__ explicit FirstLabel(const Labels& labels)
      : data(static_cast<const uint64_t*>(labels.data)), step(max(labels.words, 1)) {}

  __device__ uint64_t operator()(int64_t item) const { return __ldg(data + item * step); }

  const uint64_t* data;
  int step;
};

// One item against those of `others`, which has labels of the same kind.
class Relevance {
 public:
  __device__ Relevance(const Labels& labels, int64_t item, const Labels& others)
      : words_(labels.words),
        own_(static_cast<const uint64_t*>(labels.data) + item * max(labels.words, 1)),
        others_(static_cast<const uint64_t*>(others.data)),
        first_(__ldg(own_)),
        ids_(labels.words == 0 ? ~uint64_t{0} : 0) {}

  // `first`: the FirstLabel of `other`. One expression for both kinds of labels, which is one instruction for 32 bits:
  // ids are relevant where no bit differs, words where one is in both.
  __device__ __forceinline__ bool operator()(int64_t other, uint64_t first) const {
    uint64_t bits = (first & first_) ^ ((first | first_) & ids_);
    if (words_ > 1) {
      for (int w = 1; w < words_; ++w) bits |= __ldg(own_ + w) & __ldg(others_ + other * words_ + w);
    }
    return (bits != 0) != (ids_ != 0);
  }

  __device__ __forceinline__ bool operator()(int64_t other) const {
    if (words_ == 0) return __ldg(others_ + other) == first_;
    uint64_t shared = 0;
    for (int w = 0; w < words_; ++w) shared |= __ldg(own_ + w) & __ldg(others_ + other * words_ + w);
    return shared != 0;
  }

 private:
  int words_;
  const uint64_t* own_;
  const uint64_t* others_;
  uint64_t first_, ids_;
};

}  // namespace hashkernels::cuda
