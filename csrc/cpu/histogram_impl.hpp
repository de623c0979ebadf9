// The kernel of histogram_kernels.hpp over any register width; everything here has internal linkage (see kernels.hpp).
//
// To what sliced_impl.hpp asks of Lanes an instruction set adds popcount(v): the bits set in each word; or, where that
// is no single instruction, a BucketCount of its own.
#pragma once

#include "histogram_kernels.hpp"
#include "sliced_impl.hpp"

namespace hashkernels {
namespace {

// The bits set in the words of group & bucket, all parts of a plane together, from what can be prepared for each of
// them alone.
template <class Lanes>
struct BucketCount {
  using Vector = typename Lanes::Vector;
  using Group = Vector;
  using Bucket = Vector;
  static HASHKERNELS_INLINE Group group(Vector v) { return v; }
  static HASHKERNELS_INLINE Bucket bucket(Vector v) { return v; }
  static HASHKERNELS_INLINE Vector of(const Group* groups, const Bucket* buckets) {
    Vector sum = {};
    for (int part = 0; part < kParts<Lanes>; ++part) sum += Lanes::popcount(groups[part] & buckets[part]);
    return sum;
  }
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

// One query's view of a block: who is in which group, and who is in which bucket of whichever group.
template <class Lanes, int kGroups>
struct Members {
  using Vector = typename Lanes::Vector;

  Vector groups[kGroups + 1][kParts<Lanes>];
  Vector relevant[kParts<Lanes>];
  typename BucketCount<Lanes>::Bucket low[8][kParts<Lanes>];

  template <int kPlanes>
  HASHKERNELS_INLINE void assign(int part, const Vector (&distance)[kPlanes], Vector valid) {
    Vector members[kGroups + 1];
    split_groups<Lanes, kGroups, kPlanes - 3>(distance + 3, valid, members);
    for (int g = 0; g < kGroups; ++g) groups[g][part] = members[g];
    const Vector d0 = distance[0], d1 = distance[1], d2 = distance[2];
    const Vector pairs[4] = {~(d0 | d1), d0 & ~d1, ~d0 & d1, d0 & d1};
    for (int i = 0; i < 4; ++i) {
      low[i][part] = BucketCount<Lanes>::bucket(pairs[i] & ~d2);
      low[4 + i][part] = BucketCount<Lanes>::bucket(pairs[i] & d2);
    }
  }
};

// The groups of one query that hold a code are queued first and counted then: how many and which changes from query to
// query, and this way nothing but the end of the queue is hard to predict.
template <class Lanes, int kBytes, bool kRelevance>
void add_to_histograms(const HistogramBlock& block, const HistogramQueries& queries, uint64_t* __restrict counters) {
  using Vector = typename Lanes::Vector;
  using Count = BucketCount<Lanes>;
  static constexpr const auto& kNetwork = kSumNetwork<kBytes>;
  constexpr int kPlanes = kNetwork.num_outputs, kGroups = histogram_groups(kBytes);
  constexpr int kSets = kRelevance ? 2 : 1, kWords = kWordsOf<Lanes>;
  constexpr SlicedShape kShape{kBytes, 1, kBytes, kPlanes};
  const uint16_t* picks = queries.picks;
  for (int64_t query = 0; query < queries.num_queries; ++query) {
    Members<Lanes, kGroups> members;
#pragma GCC unroll 1
    for (int part = 0; part < kParts<Lanes>; ++part) {
      const uint16_t* own_picks = picks;
      // Each part reads them anew: what parts have in common would be kept in registers, which are too few.
      __asm__("" : "+r"(own_picks));
      Vector distance[kPlanes];
      run<Lanes, kNetwork>(block.table + part * sizeof(Vector), own_picks, nullptr, distance,
                           IndicesUpTo<kNetwork.num_steps>());
      members.assign(part, distance, load<Lanes>(block.valid + part * kWords));
      if constexpr (kRelevance) {
        Vector relevant = {};
        const uint32_t* last_class = queries.classes + queries.class_ends[query + 1];
        for (const uint32_t* c = queries.classes + queries.class_ends[query]; c != last_class; ++c) {
          relevant |= load<Lanes>(block.class_planes + int64_t{*c} * kHitWords + part * kWords);
        }
        members.relevant[part] = relevant;
      }
    }

    Vector queue[kSets * kGroups + 1][kParts<Lanes>];
    uint32_t where[kSets * kGroups + 1];
    int queued = 0;
#pragma GCC unroll 64
    for (int g = 0; g < kSets * kGroups; ++g) {
      Vector any = {};
      for (int part = 0; part < kParts<Lanes>; ++part) {
        Vector group = members.groups[g % kGroups][part];
        if constexpr (kRelevance) group &= g < kGroups ? ~members.relevant[part] : members.relevant[part];
        queue[queued][part] = group;
        any |= group;
      }
      where[queued] = g * kHistogramGroupWords;
      queued += static_cast<int>(Lanes::any(any));
    }

    for (int entry = 0; entry < queued; ++entry) {
      typename Count::Group group[kParts<Lanes>];
      for (int part = 0; part < kParts<Lanes>; ++part) group[part] = Count::group(queue[entry][part]);
      uint64_t* at = counters + where[entry];
#pragma GCC unroll 2
      for (int half = 0; half < 2; ++half, at += kHitWords) {
        const auto* bucket = members.low + 4 * half;
        store<Lanes>(at, load<Lanes>(at) + Count::of(group, bucket[0]) +
                             (Count::of(group, bucket[1]) << 16 | Count::of(group, bucket[2]) << 32 |
                              Count::of(group, bucket[3]) << 48));
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
