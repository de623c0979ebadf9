// The kernel of histogram_kernels.hpp over any register width; everything here has internal linkage (see kernels.hpp).
//
// To what sliced_impl.hpp asks of Lanes an instruction set adds popcount(v): the bits set in each word; or, where that
// is no single instruction, a BucketCount of its own.
#pragma once

#include "histogram_kernels.hpp"
#include "sliced_impl.hpp"

namespace hashkernels {
namespace {

// The bits set in each word of group & bucket, from what can be prepared for each of them alone.
template <class Lanes>
struct BucketCount {
  using Vector = typename Lanes::Vector;
  using Group = Vector;
  using Bucket = Vector;
  static HASHKERNELS_INLINE Group group(Vector v) { return v; }
  static HASHKERNELS_INLINE Bucket bucket(Vector v) { return v; }
  static HASHKERNELS_INLINE Vector of(Group group, Bucket bucket) { return Lanes::popcount(group & bucket); }
};

// members[g] = the codes of group g: one plane after the other splits every group in two.
template <class Lanes, int kGroups, int kHigh>
HASHKERNELS_INLINE void split_groups(const typename Lanes::Vector* high, typename Lanes::Vector valid,
                                     typename Lanes::Vector* members) {
  members[0] = valid;
#pragma GCC unroll 16
  for (int plane = kHigh - 1; plane >= 0; --plane) {
    const int last = (kGroups - 1) >> plane;
#pragma GCC unroll 64
    for (int g = last / 2; g >= 0; --g) {
      if (2 * g + 1 <= last) members[2 * g + 1] = members[g] & high[plane];
      members[2 * g] = members[g] & ~high[plane];
    }
  }
}

// The groups of one query that hold a code are queued first and counted then: how many and which changes from query to
// query, and this way nothing but the end of the queue is hard to predict.
template <class Lanes, int kBytes, bool kRelevance>
void add_to_histograms(const HistogramBlock& block, const HistogramQueries& queries, uint64_t* __restrict counters) {
  using Vector = typename Lanes::Vector;
  using Count = BucketCount<Lanes>;
  static constexpr const auto& kNetwork = kSumNetwork<kBytes>;
  constexpr int kPlanes = kNetwork.num_outputs, kGroups = histogram_groups(kBytes);
  constexpr int kSets = kRelevance ? 2 : 1;
  constexpr SlicedShape kShape{kBytes, 1, kBytes, kPlanes};
  const uint16_t* picks = queries.picks;
  for (int64_t query = 0; query < queries.num_queries; ++query) {
    const uint32_t *first_class = nullptr, *last_class = nullptr;
    if constexpr (kRelevance) {
      first_class = queries.classes + queries.class_ends[query];
      last_class = queries.classes + queries.class_ends[query + 1];
    }
#pragma GCC unroll 1
    for (int part = 0; part < kParts<Lanes>; ++part) {
      constexpr int kWords = kWordsOf<Lanes>;
      Vector distance[kPlanes], members[kGroups + 1];
      run<Lanes, kNetwork>(block.table + part * sizeof(Vector), picks, nullptr, distance,
                           IndicesUpTo<kNetwork.num_steps>());
      split_groups<Lanes, kGroups, kPlanes - 3>(distance + 3, load<Lanes>(block.valid + part * kWords), members);
      Vector relevant = {};
      for (const uint32_t* c = first_class; c != last_class; ++c) {
        relevant |= load<Lanes>(block.class_planes + int64_t{*c} * kHitWords + part * kWords);
      }

      Vector queue[kSets * kGroups + 1];
      uint32_t where[kSets * kGroups + 1];
      int queued = 0;
#pragma GCC unroll 64
      for (int g = 0; g < kSets * kGroups; ++g) {
        Vector group = members[g % kGroups];
        if constexpr (kRelevance) group &= g < kGroups ? ~relevant : relevant;
        queue[queued] = group;
        where[queued] = g * kHistogramGroupWords;
        queued += static_cast<int>(Lanes::any(group));
      }

      const Vector d0 = distance[0], d1 = distance[1], d2 = distance[2];
      const typename Count::Bucket low[8] = {Count::bucket(~(d0 | d1) & ~d2), Count::bucket(d0 & ~d1 & ~d2),
                                             Count::bucket(~d0 & d1 & ~d2),   Count::bucket(d0 & d1 & ~d2),
                                             Count::bucket(~(d0 | d1) & d2),  Count::bucket(d0 & ~d1 & d2),
                                             Count::bucket(~d0 & d1 & d2),    Count::bucket(d0 & d1 & d2)};
      for (int entry = 0; entry < queued; ++entry) {
        const typename Count::Group group = Count::group(queue[entry]);
        uint64_t* at = counters + where[entry] + part * kWords;
#pragma GCC unroll 2
        for (int half = 0; half < 2; ++half, at += kHitWords) {
          const typename Count::Bucket* bucket = low + 4 * half;
          store<Lanes>(at, load<Lanes>(at) + Count::of(group, bucket[0]) +
                               (Count::of(group, bucket[1]) << 16 | Count::of(group, bucket[2]) << 32 |
                                Count::of(group, bucket[3]) << 48));
        }
      }
    }
    picks += kShape.nodes() + 1;
    counters += histogram_words(kBytes, kRelevance);
  }
}

template <class Lanes, bool kRelevance, int... kIndices>
AddToHistograms select_histogram(int num_bytes, Indices<kIndices...>) {
  static constexpr AddToHistograms kKernels[] = {add_to_histograms<Lanes, kIndices + 1, kRelevance>...};
  return num_bytes <= SlicedShape::kMaxChunkBytes ? kKernels[num_bytes - 1] : nullptr;
}

template <class Lanes>
AddToHistograms select_histogram(int num_bytes, bool relevance) {
  const auto indices = IndicesUpTo<SlicedShape::kMaxChunkBytes>();
  return relevance ? select_histogram<Lanes, true>(num_bytes, indices)
                   : select_histogram<Lanes, false>(num_bytes, indices);
}

}  // namespace
}  // namespace hashkernels
