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

ClassPlanes::ClassPlanes(const Kernels& isa, Labels queries, int64_t first, int64_t last, int database_words)
    : isa_(isa),
      label_words_(database_words),
      num_queries_(last - first),
      ids_(static_cast<const int64_t*>(queries.data) + first, label_words_ == 0 ? last - first : 0),
      num_planes_(label_words_ == 0 ? ids_.size() : 64 * static_cast<uint32_t>(label_words_)),
      ends_(last - first + 1) {
  if (!ids_ || !ends_) return;
  if (label_words_ == 0) {
    if (!classes_.allocate(num_queries_)) return;
    collect_ids(static_cast<const int64_t*>(queries.data) + first);
  } else {
    const uint64_t* labels = static_cast<const uint64_t*>(queries.data) + first * label_words_;
    if (!classes_.allocate(count_bits(labels, num_queries_ * label_words_))) return;
    collect_bits(labels);
  }
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
    for (int w = 0; w < label_words_; ++w) {
      for (uint64_t rest = words[q * label_words_ + w]; rest != 0; rest &= rest - 1) {
        classes_[count++] = static_cast<uint32_t>(64 * w + __builtin_ctzll(rest));
      }
    }
  }
  ends_[num_queries_] = count;
}

const uint64_t* ClassPlanes::load(const uint64_t* columns, int64_t count) {
  if (label_words_ == 0) {
    std::fill_n(planes_.data(), int64_t{num_planes_} * kHitWords, 0);
    for (int64_t i = 0; i < count; ++i) {
      const uint32_t number = ids_(static_cast<int64_t>(columns[i]));
      planes_[int64_t{number} * kHitWords + i / 64] |= uint64_t{1} << (i % 64);
    }
  } else {
    isa_.sliced->slice(columns, 64 * label_words_, planes_.data());
  }
  return planes_.data();
}

}  // namespace hashkernels
