// RankRelevant of histogram_kernels.hpp over any register width; everything here has internal linkage (see
// kernels.hpp).
//
// To what histogram_impl.hpp asks of an instruction set its BucketCount adds intersect(group, bucket).
#pragma once

#include "histogram_impl.hpp"

namespace hashkernels {
namespace {

// The codes of a block at every distance that has any: which they are, and how many come before each word. Distances
// are all even or all odd, so half of them says which.
struct DistancePlanes {
  static constexpr int kMaxGroups = histogram_groups(SlicedShape::kMaxChunkBytes);

  alignas(64) uint64_t equal[4 * kMaxGroups][kHitWords];
  alignas(64) uint64_t before[kHitWords][kMaxGroups];  // fields of 16 bits, for the four distances of a group
  uint64_t totals[kMaxGroups];                         // such fields over all words
  int groups[kMaxGroups];                              // which of totals are not zero
  int num_groups;
};

template <class Lanes>
HASHKERNELS_INLINE void tell_apart(const Members<Lanes>& members, int num_groups, DistancePlanes* planes) {
  using Vector = typename Lanes::Vector;
  using Count = BucketCount<Lanes>;
  planes->num_groups = 0;
  for (int g = 0; g < num_groups; ++g) {
    Vector any = {};
    for (int part = 0; part < kParts<Lanes>; ++part) any |= members.groups[g][part];
    if (!Lanes::any(any)) continue;
    alignas(64) uint64_t counts[kHitWords];
    for (int part = 0; part < kParts<Lanes>; ++part) {
      const typename Count::Group group = Count::group(members.groups[g][part]);
      const auto* bucket = members.buckets;
      Vector sum = {};
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        sum |= Count::of_part(group, bucket[i][part]) << (16 * i);
        store<Lanes>(planes->equal[4 * g + i] + part * kWordsOf<Lanes>, Count::intersect(group, bucket[i][part]));
      }
      store<Lanes>(counts + part * kWordsOf<Lanes>, sum);
    }
    uint64_t sum = 0;
    for (int word = 0; word < kHitWords; ++word) {
      planes->before[word][g] = sum;
      sum += counts[word];
    }
    planes->totals[g] = sum;
    planes->groups[planes->num_groups++] = g;
  }
}

template <bool kOneWord>
HASHKERNELS_INLINE int64_t rank_in_block(const DistancePlanes& planes, const uint64_t* relevant, const uint64_t* query,
                                         const uint64_t* codes, int num_words, const int64_t* before, int64_t* hits,
                                         RankedCodes* ranked) {
  using Field = uint16_t __attribute__((may_alias));
  int64_t count = 0;
  for (int word = 0; word < kHitWords; ++word, codes += 64) {
    const Field* in_words_before = reinterpret_cast<const Field*>(planes.before[word]);
    const uint64_t* equal = planes.equal[0] + word;
    for (uint64_t rest = relevant[word]; rest != 0; rest &= rest - 1) {
      const uint64_t* code = codes + __builtin_ctzll(rest);
      int64_t distance = __builtin_popcountll(query[0] ^ code[0]);
      if constexpr (!kOneWord) {
        for (int w = 1; w < num_words; ++w) distance += __builtin_popcountll(query[w] ^ code[w * kBlockCodes]);
      }
      const uint64_t up_to_it = rest ^ (rest - 1);
      ranked->ranks[count] = before[distance] + in_words_before[distance / 2] +
                             __builtin_popcountll(equal[distance / 2 * kHitWords] & up_to_it);
      ranked->hits[count] = ++hits[distance];
      ++count;
    }
  }
  return count;
}

template <class Lanes>
void rank_relevant(const HistogramBlock& block, const HistogramQueries& queries, int64_t query, int64_t* before,
                   int64_t* hits, RankedCodes* ranked) {
  const int num_words = (queries.num_bytes + 7) / 8;
  Members<Lanes> members;
  DistancePlanes planes;
  members_kernel<Lanes>(queries.num_bytes)(block.table, queries.picks + query * picks_of(queries.num_bytes),
                                           block.valid, &members);
  tell_apart(members, histogram_groups(queries.num_bytes), &planes);
  alignas(64) uint64_t relevant[kHitWords];
  for (int part = 0; part < kParts<Lanes>; ++part) {
    const int word = part * kWordsOf<Lanes>;
    store<Lanes>(relevant + word, relevant_part<Lanes>(block, queries, query, part) & load<Lanes>(block.valid + word));
  }
  const uint64_t* words = queries.words + query * num_words;
  ranked->count = num_words == 1
                      ? rank_in_block<true>(planes, relevant, words, block.words, num_words, before, hits, ranked)
                      : rank_in_block<false>(planes, relevant, words, block.words, num_words, before, hits, ranked);
  before += block.parity ^ queries.parities[query];
  for (int i = 0; i < planes.num_groups; ++i) {
    int64_t* at = before + 8 * planes.groups[i];
    const uint64_t counts = planes.totals[planes.groups[i]];
    for (int field = 0; field < 4; ++field) at[2 * field] += (counts >> (16 * field)) & 0xFFFF;
  }
}

}  // namespace
}  // namespace hashkernels
