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

// Bits of an index into at least four times as many slots as there are queries. Few queries get many more: where no two
// ids meet, every search ends at once and no branch is hard to predict.
int slot_bits(int64_t num_queries) {
  int bits = 10;
  while ((int64_t{1} << bits) < 4 * num_queries) ++bits;
  return bits;
}

}  // namespace

ClassPlanes::ClassPlanes(const Kernels& isa, Labels queries, int64_t first, int64_t last, Labels database,
                         int64_t num_database)
    : isa_(isa), database_(database), num_queries_(last - first), num_database_(num_database), ends_(last - first + 1) {
  if (!ends_) return;
  const int words = database.words;
  if (words == 0) {
    slot_bits_ = slot_bits(num_queries_);
    if (!slots_.allocate(size_t{1} << slot_bits_) || !classes_.allocate(num_queries_)) return;
    collect_ids(static_cast<const int64_t*>(queries.data) + first);
  } else {
    const uint64_t* labels = static_cast<const uint64_t*>(queries.data) + first * words;
    if (!slots_.allocate(0) || !classes_.allocate(count_bits(labels, num_queries_ * words))) return;
    collect_bits(labels);
  }
  words_.allocate(words * kBlockCodes);
  planes_.allocate(int64_t{num_planes_} * kHitWords);
}

ClassPlanes::Slot& ClassPlanes::slot(int64_t id) {
  const uint64_t last = (uint64_t{1} << slot_bits_) - 1;
  uint64_t at = (static_cast<uint64_t>(id) * 0x9E3779B97F4A7C15u) >> (64 - slot_bits_);
  // Taken and of another id, in one condition: which ids the queries lack cannot be predicted.
  while (((slots_[at].id ^ id) & (-slots_[at].plane >> 63)) != 0) at = (at + 1) & last;
  return slots_[at];
}

// Plane 0 is that of all other ids.
void ClassPlanes::collect_ids(const int64_t* ids) {
  std::fill(slots_.data(), slots_.data() + (int64_t{1} << slot_bits_), Slot{0, 0});
  num_planes_ = 1;
  for (int64_t q = 0; q < num_queries_; ++q) {
    Slot& found = slot(ids[q]);
    if (found.plane == 0) found = {ids[q], num_planes_++};
    ends_[q] = static_cast<uint32_t>(q);
    classes_[q] = static_cast<uint32_t>(found.plane);
  }
  ends_[num_queries_] = static_cast<uint32_t>(num_queries_);
}

void ClassPlanes::collect_bits(const uint64_t* words) {
  num_planes_ = 64 * static_cast<uint32_t>(database_.words);
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
    planes_[slot(ids[i]).plane * kHitWords + i / 64] |= uint64_t{1} << (i % 64);
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
