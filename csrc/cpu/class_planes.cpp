#include "class_planes.hpp"

#include <algorithm>

#include "blocks.hpp"

namespace hashkernels {
namespace {

int64_t count_bits(const uint64_t* words, int64_t count) {
  int64_t bits = 0;
  for (int64_t i = 0; i < count; ++i) bits += __builtin_popcountll(words[i]);
  return bits;
}

}  // namespace

ClassPlanes::ClassPlanes(const Kernels& isa, Labels queries, int64_t first, int64_t last, Labels database,
                         int64_t num_database)
    : isa_(isa),
      database_(database),
      num_queries_(last - first),
      num_database_(num_database),
      ids_(static_cast<const int64_t*>(queries.data) + first, database.words == 0 ? last - first : 0),
      num_planes_(database.words == 0 ? ids_.size() : 64 * static_cast<uint32_t>(database.words)),
      ends_(last - first + 1) {
  if (!ids_ || !ends_) return;
  const int words = database.words;
  if (words == 0) {
    if (!classes_.allocate(num_queries_)) return;
    collect_ids(static_cast<const int64_t*>(queries.data) + first);
  } else {
    const uint64_t* labels = static_cast<const uint64_t*>(queries.data) + first * words;
    if (!classes_.allocate(count_bits(labels, num_queries_ * words))) return;
    collect_bits(labels);
  }
  words_.allocate(words * kBlockCodes);
  planes_.allocate(int64_t{num_planes_} * kHitWords);
}

void ClassPlanes::collect_ids(const int64_t* ids) {
  for (int64_t q = 0; q < num_queries_; ++q) {
    ends_[q] = static_cast<uint32_t>(q);
    classes_[q] = ids_(ids[q]);
  }
  ends_[num_queries_] = static_cast<uint32_t>(num_queries_);
}

void ClassPlanes::collect_bits(const uint64_t* words) {
  uint32_t count = 0;
  for (int64_t q = 0; q < num_queries_; ++q) {
    ends_[q] = count;
    for (int w = 0; w < database_.words; ++w) {
      for (uint64_t rest = words[q * database_.words + w]; rest != 0; rest &= rest - 1) {
        classes_[count++] = static_cast<uint32_t>(64 * w + __builtin_ctzll(rest));
      }
    }
  }
  ends_[num_queries_] = count;
}

const uint64_t* ClassPlanes::load(int64_t block) {
  const int64_t first = block * kBlockCodes, count = std::min(kBlockCodes, num_database_ - first);
  if (database_.words == 0) {
    load_ids(static_cast<const int64_t*>(database_.data) + first, count);
  } else {
    load_bits(static_cast<const uint64_t*>(database_.data) + first * database_.words, count);
  }
  return planes_.data();
}

void ClassPlanes::load_ids(const int64_t* ids, int64_t count) {
  std::fill(planes_.data(), planes_.data() + int64_t{num_planes_} * kHitWords, 0);
  for (int64_t i = 0; i < count; ++i) {
    planes_[int64_t{ids_(ids[i])} * kHitWords + i / 64] |= uint64_t{1} << (i % 64);
  }
}

void ClassPlanes::load_bits(const uint64_t* words, int64_t count) {
  const int stride = database_.words;
  for (int w = 0; w < stride; ++w) {
    uint64_t* column = words_.data() + w * kBlockCodes;
    for (int64_t i = 0; i < count; ++i) column[i] = words[i * stride + w];
    std::fill(column + count, column + kBlockCodes, 0);
  }
  isa_.sliced->slice(words_.data(), 64 * stride, planes_.data());
}

}  // namespace hashkernels
