// What an instruction set provides: the inner kernels, each compiled once per instruction set in a file
// <family>_<isa>.cpp.
//
// Those files hold no standard library and no inline function that another file could share: the linker keeps one copy
// of such a function, and a copy compiled for AVX-512 must not serve a CPU without it.
#pragma once

#include <cstdint>

#include "buckets_kernels.hpp"
#include "checksum_kernels.hpp"
#include "codes_kernels.hpp"
#include "counting_kernels.hpp"
#include "elements_kernels.hpp"
#include "harmonic_kernels.hpp"
#include "hashkernels/isa.h"
#include "histogram_kernels.hpp"
#include "hits_kernels.hpp"
#include "pairwise_kernels.hpp"
#include "scan_method.hpp"
#include "sliced_kernels.hpp"
#include "surrogate_kernels.hpp"
#include "triplets_kernels.hpp"

namespace hashkernels {

struct Kernels {
  // distances[i] = popcount over words w of (query[w] ^ block[w * kBlockCodes + i]), for all kBlockCodes codes of a
  // block.
  void (*hamming_block)(const uint64_t* query, const uint64_t* block, int num_words, uint16_t* distances);
  bool (*pack_rows)(const PackRows& rows);
  void (*unpack_rows)(const UnpackRows& rows);
  Below below;
  GatherHits gather_hits;
  ListHits list_hits;
  ListCandidates list_candidates;
  MeasureCandidates measure_candidates;
  MeasureRows measure_rows;
  NthDistance nth_distance;
  CountHits count_hits;
  const SlicedKernels* sliced;
  ScanCosts scan_costs;
  SelectHistogram select_histogram;
  RankRelevant rank_relevant;  // for the widths that select_histogram has a kernel for
  RelevantIds relevant_ids;
  RelevantBits relevant_bits;
  Precisions precisions;
  const HarmonicKernels* harmonic;
  PairwiseKernel<float> pairwise_f32;
  PairwiseKernel<double> pairwise_f64;
  Crc32cStreams crc32c_streams;
  TripletKernel<float> triplets_f32;
  TripletKernel<double> triplets_f64;
  const SurrogateKernels<float>* surrogate_f32;
  const SurrogateKernels<double>* surrogate_f64;
  const ElementKernels<float>* elements_f32;
  const ElementKernels<double>* elements_f64;
};

// Whether this is an Arm CPU with CRC instructions, which "neon" uses where they are.
bool arm_has_crc() noexcept;

// The kernels of the active instruction set. Take the reference once per call, so that one call never mixes two sets.
const Kernels& kernels() noexcept;

}  // namespace hashkernels
