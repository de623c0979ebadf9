// Kernels over bit-sliced codes: plane b of a block holds bit b of its 512 codes, one bit a code.
//
// Bit b of a code is bit b % 8 of its byte b / 8. A block is num_bits planes of kHitWords words each; bit i % 64 of
// word i / 64 of a plane belongs to code i of the block. The layout is the same for every instruction set.
//
// How many bits differ is a sum over planes, done for a register full of codes at once. Three planes a, b, c and query
// bits p, q, r contribute the parity of (a^p, b^q, c^r) and twice its majority. The parity is that of a^b^c, flipped or
// not, so it can go on as one more bit that every query shares; the majority has eight versions. Both are computed once
// a block: the carry table. A query then only adds up the majorities that it picks, none of weight one is left, and
// where the distance plus (2^W - threshold) carries out of W bits the code is too far.
#pragma once

#include <cstdint>

#include "blocks.hpp"
#include "hits_kernels.hpp"

namespace hashkernels {

// Sizes that follow from the width of a code. A wide code is summed in equal chunks, the last one padded with planes
// of zeros, each small enough that its table stays close.
struct SlicedShape {
  static constexpr int kMaxChunkBytes = 32;
  static constexpr int64_t kPlaneBytes = kBlockCodes / 8;

  int num_bytes, num_chunks, chunk_bytes;
  int num_bounds;  // bits that hold any distance

  // A chunk's table: eight majorities for each of `nodes`, then the last parity and its complement.
  constexpr int nodes() const { return 4 * chunk_bytes; }
  int entries() const { return 8 * nodes() + 2; }
  int64_t table_bytes() const { return num_chunks * entries() * kPlaneBytes; }
  int64_t plane_words() const { return int64_t{8} * num_bytes * kHitWords; }

  // What the scan reads of a query: num_bounds uint64 that spread one bit of 2^W - threshold each, then for every
  // chunk nodes() + 1 uint16: the table entries to add up, in units of 8 bytes from the chunk's table.
  int64_t record_bytes() const { return (8 * num_bounds + 2 * num_chunks * (nodes() + 1) + 63) / 64 * 64; }
};

// Appends to `hits` (kHitWords each) and `who` the hits of every record that has any; returns how many have. The
// threshold of a record is at least 1. Both outputs hold num_records + 1 entries.
using SlicedScan = int (*)(const uint8_t* table, const uint8_t* records, int64_t record_bytes, int num_records,
                           int num_chunks, int num_bounds, uint64_t* hits, uint32_t* who);

// The distances of a block to one record, bit by bit: num_bounds planes, lowest bit first.
using SlicedSums = void (*)(const uint8_t* table, const uint8_t* record, int num_chunks, int num_bounds,
                            uint64_t* sums);

struct SlicedKernels {
  // planes = the planes of a block of words (blocks.hpp), and back; num_bits is a multiple of 8.
  void (*slice)(const uint64_t* words, int num_bits, uint64_t* planes);
  void (*unslice)(const uint64_t* planes, int num_bits, uint64_t* words);
  void (*build_table)(const uint64_t* planes, const SlicedShape& shape, uint8_t* table);
  SlicedScan (*scan)(const SlicedShape& shape);
  SlicedSums (*sum)(const SlicedShape& shape);
  // The same sums without a table: flips[b] is all ones where bit b of the query is set. `ahead`: whether what lies
  // behind this block is soon to be read.
  void (*sum_one)(const uint64_t* planes, const uint64_t* flips, int num_bytes, int num_bounds, bool ahead,
                  uint64_t* sums);
  // hits = the codes below a threshold, of which `bounds` are as in a record; returns whether there is one.
  bool (*below)(const uint64_t* sums, const uint64_t* bounds, int num_bounds, uint64_t* hits);
};

extern const SlicedKernels kSlicedScalar, kSlicedAvx2, kSlicedAvx512;

}  // namespace hashkernels
