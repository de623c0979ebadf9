// Codes as 32-bit words.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "hashkernels/codes.h"

namespace hashkernels::cuda {

// Word `word` of a code of num_bytes bytes at any address; bytes past its end are zero.
__device__ __forceinline__ uint32_t load_word(const uint8_t* code, int num_bytes, int word) {
  const uint8_t* bytes = code + 4 * word;
  const int left = num_bytes - 4 * word;
  const uintptr_t address = reinterpret_cast<uintptr_t>(bytes);
  if (left >= 4 && address % 4 == 0) return __ldg(reinterpret_cast<const uint32_t*>(bytes));
  uint32_t value = 0;
  if (address % 2 == 0 && left % 2 == 0) {  // 48 bits, among others
    const uint16_t* halves = reinterpret_cast<const uint16_t*>(bytes);
    if (left >= 2) value = __ldg(halves);
    if (left >= 4) value |= static_cast<uint32_t>(__ldg(halves + 1)) << 16;
    return value;
  }
#pragma unroll
  for (int b = 0; b < 4; ++b) {
    if (b < left) value |= static_cast<uint32_t>(__ldg(bytes + b)) << (8 * b);
  }
  return value;
}

// How a kernel reads codes: `words` 32-bit words into registers, 0 for codes of any width that are read again for each
// comparison. `whole`: a code has exactly that many words, and an address aligned to all of them, 16 bytes at most.
template <int words_, bool whole_>
struct Width {
  static constexpr int words = words_;
  static constexpr bool whole = whole_;
};

template <class Width>
__device__ __forceinline__ void load_words(const uint8_t* code, int num_bytes, uint32_t (&out)[Width::words]) {
  if constexpr (!Width::whole) {
#pragma unroll
    for (int w = 0; w < Width::words; ++w) out[w] = load_word(code, num_bytes, w);
  } else if constexpr (Width::words == 1) {
    out[0] = __ldg(reinterpret_cast<const uint32_t*>(code));
  } else if constexpr (Width::words == 2) {
    const uint2 pair = __ldg(reinterpret_cast<const uint2*>(code));
    out[0] = pair.x;
    out[1] = pair.y;
  } else {
#pragma unroll
    for (int w = 0; w < Width::words; w += 4) {
      const uint4 four = __ldg(reinterpret_cast<const uint4*>(code) + w / 4);
      out[w] = four.x;
      out[w + 1] = four.y;
      out[w + 2] = four.z;
      out[w + 3] = four.w;
    }
  }
}

// One code, compared with many.
template <class Width>
class Query {
 public:
  __device__ Query(const Codes& queries, int64_t index)
      : code_(queries.data + index * queries.stride), num_bytes_(queries.num_bytes) {
    load_words<Width>(code_, num_bytes_, words_);
  }

  __device__ int distance(const uint8_t* other) const {
    uint32_t words[Width::words];
    load_words<Width>(other, num_bytes_, words);
    return distance_to(words);
  }

  __device__ int distance_to(const uint32_t* words) const {
    int sum = 0;
#pragma unroll
    for (int w = 0; w < Width::words; ++w) sum += __popc(words_[w] ^ words[w]);
    return sum;
  }

 private:
  const uint8_t* code_;
  int num_bytes_;
  uint32_t words_[Width::words];
};

template <>
class Query<Width<0, false>> {
 public:
  __device__ Query(const Codes& queries, int64_t index)
      : code_(queries.data + index * queries.stride), num_bytes_(queries.num_bytes) {}

  __device__ int distance(const uint8_t* other) const {
    int sum = 0;
    for (int w = 0; 4 * w < num_bytes_; ++w) {
      sum += __popc(load_word(code_, num_bytes_, w) ^ load_word(other, num_bytes_, w));
    }
    return sum;
  }

 private:
  const uint8_t* code_;
  int num_bytes_;
};

template <int words>
inline bool is_whole(const Codes& codes) {
  constexpr uintptr_t kAlignment = 4 * words < 16 ? 4 * words : 16;
  return codes.num_bytes == 4 * words && reinterpret_cast<uintptr_t>(codes.data) % kAlignment == 0 &&
         codes.stride % static_cast<int64_t>(kAlignment) == 0;
}

template <int words, class Launch>
cudaError_t by_alignment(const Codes& queries, const Codes& database, Launch&& launch) {
  if (is_whole<words>(queries) && is_whole<words>(database)) return launch(Width<words, true>{});
  return launch(Width<words, false>{});
}

constexpr int kMaxWholeBytes = 32;  // wider codes do not go into registers

// launch(Width) with the width that fits the codes.
template <class Launch>
cudaError_t by_width(const Codes& queries, const Codes& database, Launch&& launch) {
  if (queries.num_bytes <= 4) return by_alignment<1>(queries, database, launch);
  if (queries.num_bytes <= 8) return by_alignment<2>(queries, database, launch);
  if (queries.num_bytes <= 16) return by_alignment<4>(queries, database, launch);
  if (queries.num_bytes <= kMaxWholeBytes) return by_alignment<8>(queries, database, launch);
  return launch(Width<0, false>{});
}

}  // namespace hashkernels::cuda
