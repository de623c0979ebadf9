// Whether two items are relevant to each other.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "hashkernels/counting.h"

namespace hashkernels::cuda {

// One item against those of `others`, which has labels of the same kind.
class Relevance {
 public:
  __device__ Relevance(const Labels& labels, int64_t item, const Labels& others)
      : words_(labels.words),
        own_(static_cast<const uint64_t*>(labels.data) + item * max(labels.words, 1)),
        others_(static_cast<const uint64_t*>(others.data)),
        id_(labels.words == 0 ? __ldg(own_) : 0) {}

  __device__ __forceinline__ bool operator()(int64_t other) const {
    if (words_ == 0) return __ldg(others_ + other) == id_;
    uint64_t shared = 0;
    for (int w = 0; w < words_; ++w) shared |= __ldg(own_ + w) & __ldg(others_ + other * words_ + w);
    return shared != 0;
  }

 private:
  int words_;
  const uint64_t* own_;
  const uint64_t* others_;
  uint64_t id_;
};

}  // namespace hashkernels::cuda
