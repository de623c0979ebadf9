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
    for (int part = 0; part < kParts<Lanes>; ++part) sum += of_part(groups[part], buckets[part]);
    return sum;
  }
  static HASHKERNELS_INLINE Vector of_part(Group group, Bucket bucket) { return Lanes::popcount(group & bucket); }
  static HASHKERNELS_INLINE Vector intersect(Group group, Bucket bucket) { return group & bucket; }
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
template <class Lanes>
struct Members {
  static constexpr int kMaxGroups = histogram_groups(SlicedShape::kMaxChunkBytes);
  using Bucket = typename BucketCount<Lanes>::Bucket;

  typename Lanes::Vector groups[kMaxGroups][kParts<Lanes>];
  Bucket buckets[4][kParts<Lanes>];
};

// All that depends on the width of a code in steps that are laid out at compile time.
template <class Lanes, int kBytes>
void find_members(const uint8_t* table, const uint16_t* picks, const uint64_t* valid, Members<Lanes>* members) {
  using Vector = typename Lanes::Vector;
  static constexpr const auto& kNetwork = kSumNetwork<kBytes>;
  constexpr int kPlanes = kNetwork.num_outputs, kGroups = histogram_groups(kBytes);
#pragma GCC unroll 1
  for (int part = 0; part < kParts<Lanes>; ++part) {
    const uint16_t* own_picks = picks;
    // Each part reads them anew: what parts have in common would be kept in registers, which are too few.
    __asm__("" : "+r"(own_picks));
    Vector distance[kPlanes], groups[kGroups + 1];
    run<Lanes, kNetwork>(table + part * sizeof(Vector), own_picks, nullptr, distance,
                         IndicesUpTo<kNetwork.num_steps>());
    split_groups<Lanes, kGroups, kPlanes - 3>(distance + 3, load<Lanes>(valid + part * kWordsOf<Lanes>), groups);
    for (int g = 0; g < kGroups; ++g) members->groups[g][part] = groups[g];
    const Vector d1 = distance[1], d2 = distance[2];
    const Vector pairs[4] = {~(d1 | d2), d1 & ~d2, ~d1 & d2, d1 & d2};
    for (int i = 0; i < 4; ++i) members->buckets[i][part] = BucketCount<Lanes>::bucket(pairs[i]);
  }
}

template <class Lanes>
using FindMembers = void (*)(const uint8_t* table, const uint16_t* picks, const uint64_t* valid,
                             Members<Lanes>* members);

template <class Lanes, int... kIndices>
FindMembers<Lanes> members_kernel(int num_bytes, Indices<kIndices...>) {
  static constexpr FindMembers<Lanes> kKernels[] = {find_members<Lanes, kIndices + 1>...};
  return kKernels[num_bytes - 1];
}

template <class Lanes>
FindMembers<Lanes> members_kernel(int num_bytes) {
  return members_kernel<Lanes>(num_bytes, IndicesUpTo<SlicedShape::kMaxChunkBytes>());
}

// The table entries that a query picks.
constexpr int picks_of(int num_bytes) { return SlicedShape{num_bytes, 1, num_bytes, 0}.nodes() + 1; }

// The codes of a block that are relevant to a query, one part of them.
template <class Lanes>
HASHKERNELS_INLINE typename Lanes::Vector relevant_part(const HistogramBlock& block, const HistogramQueries& queries,
                                                        int64_t query, int part) {
  typename Lanes::Vector relevant = {};
  const uint32_t* last_class = queries.classes + queries.class_ends[query + 1];
  for (const uint32_t* c = queries.classes + queries.class_ends[query]; c != last_class; ++c) {
    relevant |= load<Lanes>(block.class_planes + int64_t{*c} * kHitWords + part * kWordsOf<Lanes>);
  }
  return relevant;
}

// Which groups of a query hold a code is noted first and counted then: how many and which changes from query to query,
// and this way nothing but the end of the loop over them is hard to predict.
template <class Lanes, bool kRelevance>
void add_to_histograms(const HistogramBlock& block, const HistogramQueries& queries, uint64_t* __restrict counters) {
  using Vector = typename Lanes::Vector;
  using Count = BucketCount<Lanes>;
  constexpr int kSets = kRelevance ? 2 : 1;
  const int num_groups = histogram_groups(queries.num_bytes);
  const FindMembers<Lanes> find_members = members_kernel<Lanes>(queries.num_bytes);
  const uint16_t* picks = queries.picks;
  Members<Lanes> members;
  for (int64_t query = 0; query < queries.num_queries; ++query) {
    find_members(block.table, picks, block.valid, &members);
    Vector relevant[kParts<Lanes>];
    if constexpr (kRelevance) {
      for (int part = 0; part < kParts<Lanes>; ++part) {
        relevant[part] = relevant_part<Lanes>(block, queries, query, part);
      }
    }
    const auto member = [&](int g, int set, int part) {
      const Vector group = members.groups[g][part];
      if constexpr (!kRelevance) return group;
      return group & (set == 0 ? ~relevant[part] : relevant[part]);
    };

    uint64_t held[kSets] = {};  // a bit a group
    for (int g = 0; g < num_groups; ++g) {
      for (int set = 0; set < kSets; ++set) {
        Vector any = {};
        for (int part = 0; part < kParts<Lanes>; ++part) any |= member(g, set, part);
        held[set] |= static_cast<uint64_t>(Lanes::any(any)) << g;
      }
    }

    uint64_t* own = counters + (block.parity ^ queries.parities[query]) * kHitWords;
    for (int set = 0; set < kSets; ++set, own += num_groups * kHistogramGroupWords) {
      for (uint64_t rest = held[set]; rest != 0; rest &= rest - 1) {
        const int g = __builtin_ctzll(rest);
        typename Count::Group group[kParts<Lanes>];
        for (int part = 0; part < kParts<Lanes>; ++part) group[part] = Count::group(member(g, set, part));
        uint64_t* at = own + g * kHistogramGroupWords;
        const auto* bucket = members.buckets;
        store<Lanes>(at, load<Lanes>(at) + Count::of(group, bucket[0]) +
                             (Count::of(group, bucket[1]) << 16 | Count::of(group, bucket[2]) << 32 |
                              Count::of(group, bucket[3]) << 48));
      }
    }
    picks += picks_of(queries.num_bytes);
    counters += histogram_words(queries.num_bytes, kRelevance);
  }
}

template <class Lanes>
AddToHistograms select_histogram(int num_bytes, bool relevance) {
  if (num_bytes > SlicedShape::kMaxChunkBytes) return nullptr;
  return relevance ? add_to_histograms<Lanes, true> : add_to_histograms<Lanes, false>;
}

}  // namespace
}  // namespace hashkernels
