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
        ids_(labels.words == 0 ? ~uint64_t{0} : 0),
        some_(labels.words == 0 ? kOne : kRelevant),
        none_(labels.words == 0 ? kRelevant : kOne) {}

  // What items other, other + 1 ... add to a counter whose low half counts items, and whose high half relevant ones.
  static constexpr uint32_t kOne = 1, kRelevant = 0x10001;

  // `firsts`: the FirstLabel of each. One expression for both kinds of labels, which is one instruction for 32 bits:
  // ids are relevant where no bit is left, words where one is.
  template <int count>
  __device__ __forceinline__ void add_up(int64_t other, const uint64_t (&firsts)[count],
                                         uint32_t (&additions)[count]) const {
    uint32_t bits[count];
#pragma unroll
    for (int i = 0; i < count; ++i) bits[i] = either_half((firsts[i] & first_) ^ ((firsts[i] | first_) & ids_));
#pragma unroll 1
    for (int w = 1; w < words_; ++w) {
      const uint64_t own = __ldg(own_ + w);
#pragma unroll
      for (int i = 0; i < count; ++i) bits[i] |= either_half(own & __ldg(others_ + (other + i) * words_ + w));
    }
#pragma unroll
    for (int i = 0; i < count; ++i) additions[i] = bits[i] != 0 ? some_ : none_;
  }

  __device__ __forceinline__ bool operator()(int64_t other) const {
    if (words_ == 0) return __ldg(others_ + other) == first_;
    uint64_t shared = 0;
    for (int w = 0; w < words_; ++w) shared |= __ldg(own_ + w) & __ldg(others_ + other * words_ + w);
    return shared != 0;
  }

 private:
  __device__ static uint32_t either_half(uint64_t bits) {
    return static_cast<uint32_t>(bits) | static_cast<uint32_t>(bits >> 32);
  }

  int words_;
  const uint64_t* own_;
  const uint64_t* others_;
  uint64_t first_, ids_;
  uint32_t some_, none_;
};

}  // namespace hashkernels::cuda
