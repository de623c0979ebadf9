// Which pairs of a tile are relevant, and what they weigh.
#pragma once

#include "pairwise_vector.hpp"

namespace hashkernels {
namespace {

// Which of the rows first .. first + kVectors * kLanes are relevant to a column: those of the same class...
template <class S>
class SameClass {
 public:
  using Mask = typename S::Mask;
  static constexpr bool kWeighs = false;

  SameClass(const PairwiseTile<typename S::T>& tile, int first) : columns_(tile.column_labels) {
    for (int v = 0; v < S::kVectors; ++v) rows_[v] = load<Mask>(tile.row_labels + first + v * S::kLanes);
  }

  Mask operator()(int v, int column) const { return rows_[v] == columns_[column]; }

 private:
  Mask rows_[S::kVectors];
  const typename S::Int* columns_;
};

// ... or those that share a class...
template <class S>
class CommonClass {
 public:
  using Mask = typename S::Mask;
  static constexpr bool kWeighs = false;

  CommonClass(const PairwiseTile<typename S::T>& tile, int first)
      : rows_(tile.row_labels + first), columns_(tile.column_labels), num_planes_(tile.num_planes) {}

  Mask operator()(int v, int column) const {
    Mask common{};
    for (int plane = 0; plane < num_planes_; ++plane) {
      common |= load<Mask>(rows_ + plane * kPairTile + v * S::kLanes) & columns_[plane * kPairTile + column];
    }
    return common != 0;
  }

 private:
  const typename S::Int* rows_;
  const typename S::Int* columns_;
  int num_planes_;
};

// How many bits of each lane are set.
template <class S>
inline typename S::Mask bit_counts(typename S::Mask lanes) {
  using Bits = typename S::Bits;
  constexpr auto kAll = static_cast<typename PairLane<typename S::T>::Bits>(-1);
  Bits x = bits_as<Bits>(lanes);
  x -= (x >> 1) & (kAll / 3);
  x = (x & (kAll / 5)) + ((x >> 2) & (kAll / 5));
  x = (x + (x >> 4)) & (kAll / 17);
  for (int shift = 8; shift < 8 * static_cast<int>(sizeof(kAll)); shift *= 2) x += x >> shift;
  return bits_as<typename S::Mask>(x & 0x7F);
}

// ... and weigh what share of the classes of either they have in common.
template <class S>
class ClassShare : public CommonClass<S> {
 public:
  using Mask = typename S::Mask;
  static constexpr bool kWeighs = true;

  ClassShare(const PairwiseTile<typename S::T>& tile, int first)
      : CommonClass<S>(tile, first),
        rows_(tile.row_labels + first),
        columns_(tile.column_labels),
        num_planes_(tile.num_planes) {
    const auto count = [&](const typename S::Int* labels) {
      Mask sizes{};
      for (int plane = 0; plane < num_planes_; ++plane) sizes += bit_counts<S>(load<Mask>(labels + plane * kPairTile));
      return sizes;
    };
    for (int v = 0; v < S::kVectors; ++v) row_sizes_[v] = count(rows_ + v * S::kLanes);
    for (int i = 0; i < kPairTile; i += S::kLanes) store(column_sizes_ + i, count(columns_ + i));
  }

  typename S::Vector weight(int v, int column) const {
    Mask common{};
    for (int plane = 0; plane < num_planes_; ++plane) {
      common +=
          bit_counts<S>(load<Mask>(rows_ + plane * kPairTile + v * S::kLanes) & columns_[plane * kPairTile + column]);
    }
    const Mask either = row_sizes_[v] + column_sizes_[column] - common;
    const Mask divisor = either - (either == 0);  // 1 where neither has a class
    return __builtin_convertvector(common, typename S::Vector) / __builtin_convertvector(divisor, typename S::Vector);
  }

 private:
  const typename S::Int* rows_;
  const typename S::Int* columns_;
  int num_planes_;
  Mask row_sizes_[S::kVectors];
  typename S::Int column_sizes_[kPairTile];
};

}  // namespace
}  // namespace hashkernels
