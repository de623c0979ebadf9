// The kernels of sliced_kernels.hpp over any register width; everything here has internal linkage (see kernels.hpp).
//
// An instruction set brings a type Lanes: Vector (a GCC vector of uint64), parity(a, b, c), majority(a, b, c), both at
// once as add(a, b, c, &sum, &carry), any(v), whether a bit is set, and kPrefetches, whether cores with the set have to
// be told what to read next where a page ends.
#pragma once

#include <cstdint>

#include "sliced_kernels.hpp"
#include "sliced_network.hpp"

#define HASHKERNELS_INLINE inline __attribute__((always_inline))

namespace hashkernels {
namespace {

// Planes may lie in a mapped file, so nothing is asked of their alignment but that of a word.
template <class Lanes>
struct Unaligned {
  typename Lanes::Vector value;
} __attribute__((packed, aligned(8), may_alias));

template <class Lanes>
HASHKERNELS_INLINE typename Lanes::Vector load(const void* from) {
  return static_cast<const Unaligned<Lanes>*>(from)->value;
}

template <class Lanes>
HASHKERNELS_INLINE void store(void* to, typename Lanes::Vector value) {
  static_cast<Unaligned<Lanes>*>(to)->value = value;
}

template <class Lanes>
HASHKERNELS_INLINE typename Lanes::Vector broadcast(uint64_t value) {
  return value - typename Lanes::Vector{};
}

template <class Lanes>
constexpr int kWordsOf = sizeof(typename Lanes::Vector) / 8;
template <class Lanes>
constexpr int kParts = kHitWords / kWordsOf<Lanes>;  // registers a plane

// ---- the scan

template <class Lanes>
HASHKERNELS_INLINE void run_step(const Step& step, const uint8_t* table, const uint16_t* picks, const uint64_t* bounds,
                                 typename Lanes::Vector* value) {
  using Vector = typename Lanes::Vector;
  switch (step.kind) {
    case StepKind::kLoad:
      value[step.out] = load<Lanes>(table + 8 * static_cast<uint64_t>(picks[step.a]));
      break;
    case StepKind::kAdd: {
      Lanes::add(value[step.a], value[step.b], value[step.c], &value[step.out], &value[step.out + 1]);
      break;
    }
    case StepKind::kHalfAdd: {
      const Vector a = value[step.a], b = value[step.b];
      value[step.out] = a ^ b;
      value[step.out + 1] = a & b;
      break;
    }
    case StepKind::kCarry:
      value[step.out] = Lanes::majority(value[step.a], value[step.b], broadcast<Lanes>(bounds[step.c]));
      break;
    case StepKind::kHalfCarry:
      value[step.out] = value[step.a] & broadcast<Lanes>(bounds[step.c]);
      break;
  }
}

template <int... kIndices>
struct Indices {};

template <class Lanes, const auto& kNetwork, int... kIndices>
HASHKERNELS_INLINE void run(const uint8_t* table, const uint16_t* picks, const uint64_t* bounds,
                            typename Lanes::Vector* outputs, Indices<kIndices...>) {
  typename Lanes::Vector value[kNetwork.num_values];
  (run_step<Lanes>(kNetwork.steps[kIndices], table, picks, bounds, value), ...);
  for (int i = 0; i < kNetwork.num_outputs; ++i) outputs[i] = value[kNetwork.outputs[i]];
}

#if defined(__clang__)
template <int... kIndices>
using IndicesOf = Indices<kIndices...>;
template <class T, T... kIndices>
using IndicesFrom = Indices<kIndices...>;
template <int kCount>
using IndicesUpTo = __make_integer_seq<IndicesFrom, int, kCount>;
#else
template <int kCount>
using IndicesUpTo = Indices<__integer_pack(kCount)...>;
#endif

// The loop over records; far(record, part) gives the codes at or beyond the record's threshold. The hits of a record go
// to a slot that the next record overwrites where there are none, so no branch is needed.
template <class Lanes, class Far>
HASHKERNELS_INLINE int scan_records(const uint8_t* records, int64_t record_bytes, int num_records,
                                    uint64_t* __restrict hits, uint32_t* __restrict who, Far far) {
  using Vector = typename Lanes::Vector;
  int found = 0;
  for (int record = 0; record < num_records; ++record) {
    uint64_t* slot = hits + int64_t{found} * kHitWords;
    Vector any = {};
#pragma GCC unroll 1
    for (int part = 0; part < kParts<Lanes>; ++part) {
      const uint8_t* own = records + record * record_bytes;
      // Each part reads the record anew: what parts have in common would be kept in registers, which are too few.
      __asm__("" : "+r"(own));
      const Vector near = ~far(own, part);
      store<Lanes>(slot + part * kWordsOf<Lanes>, near);
      any |= near;
    }
    who[found] = static_cast<uint32_t>(record);
    found += static_cast<int>(Lanes::any(any));
  }
  return found;
}

template <class Lanes, int kBytes>
int scan_narrow(const uint8_t* __restrict table, const uint8_t* __restrict records, int64_t record_bytes,
                int num_records, int, int, uint64_t* __restrict hits, uint32_t* __restrict who) {
  using Vector = typename Lanes::Vector;
  static constexpr const auto& kNetwork = kCarryNetwork<kBytes>;
  return scan_records<Lanes>(records, record_bytes, num_records, hits, who, [&](const uint8_t* record, int part) {
    const uint64_t* bounds = reinterpret_cast<const uint64_t*>(record);
    const uint16_t* picks = reinterpret_cast<const uint16_t*>(bounds + bits_to_hold(8 * kBytes));
    Vector outputs[2] = {};
    run<Lanes, kNetwork>(table + part * sizeof(Vector), picks, bounds, outputs, IndicesUpTo<kNetwork.num_steps>());
    return outputs[0] | outputs[1];
  });
}

// The distance as one vector a bit, chunk after chunk.
template <class Lanes, int kBytes>
HASHKERNELS_INLINE void sum_chunks(const uint8_t* table, const uint16_t* picks, int num_chunks, int num_bounds,
                                   typename Lanes::Vector* total) {
  using Vector = typename Lanes::Vector;
  static constexpr const auto& kNetwork = kSumNetwork<kBytes>;
  constexpr SlicedShape kChunk{kBytes, 1, kBytes, 0};
  for (int i = 0; i < num_bounds; ++i) total[i] = Vector{};
  for (int chunk = 0; chunk < num_chunks; ++chunk) {
    Vector sum[kNetwork.num_outputs];
    run<Lanes, kNetwork>(table, picks, nullptr, sum, IndicesUpTo<kNetwork.num_steps>());
    Vector carry = {};
    for (int i = 0; i < kNetwork.num_outputs; ++i) Lanes::add(total[i], sum[i], carry, &total[i], &carry);
    for (int i = kNetwork.num_outputs; i < num_bounds; ++i) {
      const Vector old = total[i];
      total[i] = old ^ carry;
      carry &= old;
    }
    picks += kChunk.nodes() + 1;
    table += kChunk.entries() * SlicedShape::kPlaneBytes;
  }
}

constexpr int kMaxBounds = 13;  // bits that hold kMaxBits

template <class Lanes, int kBytes>
int scan_wide(const uint8_t* __restrict table, const uint8_t* __restrict records, int64_t record_bytes, int num_records,
              int num_chunks, int num_bounds, uint64_t* __restrict hits, uint32_t* __restrict who) {
  using Vector = typename Lanes::Vector;
  return scan_records<Lanes>(records, record_bytes, num_records, hits, who, [&](const uint8_t* record, int part) {
    const uint64_t* bounds = reinterpret_cast<const uint64_t*>(record);
    const uint16_t* picks = reinterpret_cast<const uint16_t*>(bounds + num_bounds);
    Vector total[kMaxBounds];
    sum_chunks<Lanes, kBytes>(table + part * sizeof(Vector), picks, num_chunks, num_bounds, total);
    Vector carry = {};
    for (int i = 0; i < num_bounds; ++i) carry = Lanes::majority(total[i], broadcast<Lanes>(bounds[i]), carry);
    return carry;
  });
}

template <class Lanes, int kBytes>
void sum_record(const uint8_t* __restrict table, const uint8_t* __restrict record, int num_chunks, int num_bounds,
                uint64_t* __restrict sums) {
  using Vector = typename Lanes::Vector;
  const uint16_t* picks = reinterpret_cast<const uint16_t*>(record + 8 * num_bounds);
  for (int part = 0; part < kParts<Lanes>; ++part) {
    Vector total[kMaxBounds];
    sum_chunks<Lanes, kBytes>(table + part * sizeof(Vector), picks, num_chunks, num_bounds, total);
    for (int i = 0; i < num_bounds; ++i) store<Lanes>(sums + i * kHitWords + part * kWordsOf<Lanes>, total[i]);
  }
}

template <class Lanes, int... kIndices>
SlicedScan select_scan(const SlicedShape& shape, Indices<kIndices...>) {
  constexpr int kHalf = SlicedShape::kMaxChunkBytes / 2;
  static constexpr SlicedScan kNarrow[] = {scan_narrow<Lanes, kIndices + 1>...};
  static constexpr SlicedScan kWide[] = {scan_wide<Lanes, (kIndices < kHalf ? kHalf : kIndices) + 1>...};
  return (shape.num_chunks == 1 ? kNarrow : kWide)[shape.chunk_bytes - 1];
}

template <class Lanes, int... kIndices>
SlicedSums select_sum(const SlicedShape& shape, Indices<kIndices...>) {
  static constexpr SlicedSums kSums[] = {sum_record<Lanes, kIndices + 1>...};
  return kSums[shape.chunk_bytes - 1];
}

template <class Lanes>
bool below(const uint64_t* __restrict sums, const uint64_t* __restrict bounds, int num_bounds,
           uint64_t* __restrict hits) {
  using Vector = typename Lanes::Vector;
  Vector any = {};
  for (int part = 0; part < kParts<Lanes>; ++part) {
    Vector carry = {};
    for (int i = 0; i < num_bounds; ++i) {
      const Vector sum = load<Lanes>(sums + i * kHitWords + part * kWordsOf<Lanes>);
      carry = Lanes::majority(sum, broadcast<Lanes>(bounds[i]), carry);
    }
    store<Lanes>(hits + part * kWordsOf<Lanes>, ~carry);
    any |= ~carry;
  }
  return Lanes::any(any);
}

// ---- the table

template <class Lanes>
void build_table(const uint64_t* planes, const SlicedShape& shape, uint8_t* table) {
  using Vector = typename Lanes::Vector;
  constexpr int kMaxPlanes = 8 * SlicedShape::kMaxChunkBytes + 1 + 4 * SlicedShape::kMaxChunkBytes;
  alignas(64) static constexpr uint64_t kZeros[kHitWords] = {};
  alignas(64) uint64_t parities[4 * SlicedShape::kMaxChunkBytes * kHitWords];
  const uint64_t* queue[kMaxPlanes];  // planes, then parities of three that came before; each is used once
  const int num_bits = 8 * shape.num_bytes, chunk_bits = 8 * shape.chunk_bytes;
  for (int chunk = 0; chunk < shape.num_chunks; ++chunk) {
    for (int bit = 0; bit <= chunk_bits; ++bit) {
      const int plane = chunk * chunk_bits + bit;
      queue[bit] = bit < chunk_bits && plane < num_bits ? planes + plane * kHitWords : kZeros;
    }
    for (int node = 0; node < shape.nodes(); ++node) {
      uint64_t* parity = parities + node * kHitWords;
      // The next block, while this one is at work: pages end where hardware prefetching does.
      const uint64_t* ahead = planes + (num_bits + chunk * chunk_bits + 2 * node) * kHitWords;
      __builtin_prefetch(ahead);
      __builtin_prefetch(ahead + kHitWords);
      queue[chunk_bits + 1 + node] = parity;
      for (int part = 0; part < kParts<Lanes>; ++part) {
        const Vector a = load<Lanes>(queue[3 * node] + part * kWordsOf<Lanes>);
        const Vector b = load<Lanes>(queue[3 * node + 1] + part * kWordsOf<Lanes>);
        const Vector c = load<Lanes>(queue[3 * node + 2] + part * kWordsOf<Lanes>);
        const Vector ab = a ^ b, all = ab ^ c;
        // Where a differs from both others, so that a ^ odd is the majority; the other versions come out of it too.
        const Vector odd = (a ^ c) & ab;
        const Vector versions[4] = {a ^ odd, all ^ odd, c ^ odd, ~(b ^ odd)};
        for (int flips = 0; flips < 4; ++flips) {
          // Flipping all three inputs flips the majority.
          store<Lanes>(table + flips * SlicedShape::kPlaneBytes + part * sizeof(Vector), versions[flips]);
          store<Lanes>(table + (7 - flips) * SlicedShape::kPlaneBytes + part * sizeof(Vector), ~versions[flips]);
        }
        store<Lanes>(parity + part * kWordsOf<Lanes>, all);
      }
      table += 8 * SlicedShape::kPlaneBytes;
    }
    const uint64_t* last = queue[3 * shape.nodes()];
    for (int part = 0; part < kParts<Lanes>; ++part) {
      const Vector parity = load<Lanes>(last + part * kWordsOf<Lanes>);
      store<Lanes>(table + part * sizeof(Vector), parity);
      store<Lanes>(table + SlicedShape::kPlaneBytes + part * sizeof(Vector), ~parity);
    }
    table += 2 * SlicedShape::kPlaneBytes;
  }
}

// ---- one query

// Where blocks lie ahead, planes are prefetched throughout, if the set asks for it.
//
// Eight planes at a time; what exceeds the weights 1, 2 and 4 ripples up a counter of kHigh planes.
template <class Lanes, int kHigh>
void sum_one_of(const uint64_t* __restrict planes, const uint64_t* __restrict flips, int num_bytes, bool ahead,
                uint64_t* __restrict sums) {
  using Vector = typename Lanes::Vector;
  constexpr int kPlanesAhead = 96;  // 6 KB, which memory takes as long to bring as they take to be summed
  for (int part = 0; part < kParts<Lanes>; ++part) {
    const uint64_t* plane = planes + part * kWordsOf<Lanes>;
    Vector low[3] = {}, high[kHigh] = {};
    for (int byte = 0; byte < num_bytes; ++byte) {
      Vector x[8];
      for (int i = 0; i < 8; ++i) {
        if (Lanes::kPrefetches && part == 0 && ahead) {
          __builtin_prefetch(plane + (8 * byte + i + kPlanesAhead) * kHitWords);
        }
        x[i] = load<Lanes>(plane + (8 * byte + i) * kHitWords) ^ broadcast<Lanes>(flips[8 * byte + i]);
      }
      Vector twos[4], fours[2];
      for (int i = 0; i < 4; ++i) {
        Lanes::add(low[0], x[2 * i], x[2 * i + 1], &low[0], &twos[i]);
      }
      for (int i = 0; i < 2; ++i) {
        Lanes::add(low[1], twos[2 * i], twos[2 * i + 1], &low[1], &fours[i]);
      }
      Vector carry;
      Lanes::add(low[2], fours[0], fours[1], &low[2], &carry);
      for (int i = 0; i < kHigh; ++i) {
        const Vector old = high[i];
        high[i] = old ^ carry;
        carry &= old;
      }
    }
    uint64_t* out = sums + part * kWordsOf<Lanes>;
    for (int i = 0; i < 3; ++i) store<Lanes>(out + i * kHitWords, low[i]);
    for (int i = 0; i < kHigh; ++i) store<Lanes>(out + (3 + i) * kHitWords, high[i]);
  }
}

template <class Lanes, int... kIndices>
void select_sum_one(const uint64_t* planes, const uint64_t* flips, int num_bytes, int num_bounds, bool ahead,
                    uint64_t* sums, Indices<kIndices...>) {
  using SumOne = void (*)(const uint64_t*, const uint64_t*, int, bool, uint64_t*);
  static constexpr SumOne kSums[] = {sum_one_of<Lanes, kIndices + 1>...};
  kSums[num_bounds - 4](planes, flips, num_bytes, ahead, sums);
}

template <class Lanes>
void sum_one(const uint64_t* planes, const uint64_t* flips, int num_bytes, int num_bounds, bool ahead, uint64_t* sums) {
  select_sum_one<Lanes>(planes, flips, num_bytes, num_bounds, ahead, sums, IndicesUpTo<kMaxBounds - 3>());
}

// ---- slicing

// Swaps, in every 64-bit lane, the bits of `a` above kShift in each pair of fields with those of `b` below.
template <int kShift, class Vector>
HASHKERNELS_INLINE void swap_fields(Vector& a, Vector& b) {
  constexpr uint64_t kMasks[] = {0x5555555555555555u, 0x3333333333333333u, 0x0F0F0F0F0F0F0F0Fu,
                                 0x00FF00FF00FF00FFu, 0x0000FFFF0000FFFFu, 0x00000000FFFFFFFFu};
  constexpr uint64_t kMask = kMasks[bits_to_hold(kShift) - 1];
  const Vector moved = ((a >> kShift) ^ b) & kMask;
  b ^= moved;
  a ^= moved << kShift;
}

// Three of the six rounds of a 64 x 64 bit transposition, on eight rows kStride apart.
template <int kStride, class Vector>
HASHKERNELS_INLINE void transpose_rounds(Vector* rows) {
  Vector r[8];
  for (int i = 0; i < 8; ++i) r[i] = rows[i * kStride];
  for (int i = 0; i < 4; ++i) swap_fields<4 * kStride>(r[i], r[i + 4]);
  for (int i = 0; i < 4; ++i) swap_fields<2 * kStride>(r[i + (i & 2)], r[i + (i & 2) + 2]);
  for (int i = 0; i < 8; i += 2) swap_fields<kStride>(r[i], r[i + 1]);
  for (int i = 0; i < 8; ++i) rows[i * kStride] = r[i];
}

// In every lane: bit j of row i becomes bit i of row j.
template <class Vector>
void transpose(Vector (&rows)[64]) {
  for (int i = 0; i < 8; ++i) transpose_rounds<8>(rows + i);
  for (int i = 0; i < 64; i += 8) transpose_rounds<1>(rows + i);
}

template <class Lanes>
void slice(const uint64_t* words, int num_bits, uint64_t* planes) {
  using Vector = typename Lanes::Vector;
  for (int first = 0; first < num_bits; first += 64, words += kBlockCodes) {
    const int count = num_bits - first < 64 ? num_bits - first : 64;
    for (int part = 0; part < kParts<Lanes>; ++part) {
      Vector rows[64];
      for (int i = 0; i < 64; ++i) {
        for (int lane = 0; lane < kWordsOf<Lanes>; ++lane) {
          rows[i][lane] = words[64 * (part * kWordsOf<Lanes> + lane) + i];
        }
      }
      transpose(rows);
      for (int i = 0; i < count; ++i) store<Lanes>(planes + (first + i) * kHitWords + part * kWordsOf<Lanes>, rows[i]);
    }
  }
}

template <class Lanes>
void unslice(const uint64_t* planes, int num_bits, uint64_t* words) {
  using Vector = typename Lanes::Vector;
  for (int first = 0; first < num_bits; first += 64, words += kBlockCodes) {
    const int count = num_bits - first < 64 ? num_bits - first : 64;
    for (int part = 0; part < kParts<Lanes>; ++part) {
      Vector rows[64] = {};
      for (int i = 0; i < count; ++i) rows[i] = load<Lanes>(planes + (first + i) * kHitWords + part * kWordsOf<Lanes>);
      transpose(rows);
      for (int i = 0; i < 64; ++i) {
        for (int lane = 0; lane < kWordsOf<Lanes>; ++lane) {
          words[64 * (part * kWordsOf<Lanes> + lane) + i] = rows[i][lane];
        }
      }
    }
  }
}

template <class Lanes>
SlicedScan scan_for(const SlicedShape& shape) {
  return select_scan<Lanes>(shape, IndicesUpTo<SlicedShape::kMaxChunkBytes>());
}

template <class Lanes>
SlicedSums sum_for(const SlicedShape& shape) {
  return select_sum<Lanes>(shape, IndicesUpTo<SlicedShape::kMaxChunkBytes>());
}

template <class Lanes>
constexpr SlicedKernels kSlicedKernels{slice<Lanes>,   unslice<Lanes>, build_table<Lanes>, scan_for<Lanes>,
                                       sum_for<Lanes>, sum_one<Lanes>, below<Lanes>};

}  // namespace
}  // namespace hashkernels
