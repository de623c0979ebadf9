// The only place that says which kernel serves which instruction set.
#include "buckets_kernels.hpp"
#include "checksum_kernels.hpp"
#include "codes_kernels.hpp"
#include "counting_kernels.hpp"
#include "distance_kernels.hpp"
#include "elements_kernels.hpp"
#include "harmonic_kernels.hpp"
#include "histogram_kernels.hpp"
#include "kernels.hpp"
#include "pairwise_kernels.hpp"
#include "sliced_kernels.hpp"
#include "surrogate_kernels.hpp"
#include "triplets_kernels.hpp"

namespace hashkernels {
namespace {

constexpr Kernels kScalar{
    .hamming_block = hamming_block_scalar,
    .pack_rows = pack_rows_scalar,
    .unpack_rows = unpack_rows_scalar,
    .below = below_scalar,
    .gather_hits = gather_hits_scalar,
    .list_hits = list_hits_scalar,
    .list_candidates = list_candidates_scalar,
    .measure_candidates = measure_candidates_scalar,
    .measure_rows = measure_rows_scalar,
    .nth_distance = nth_distance_scalar,
    .count_hits = count_hits_scalar,
    .sliced = &kSlicedScalar,
    .scan_costs = {.row = 0.3,
                   .row_word = 1.05,
                   .row_in_place = 1.1,
                   .plane_byte = 29,
                   .query_byte = 9,
                   .slice_word = 750,
                   .table_byte = 55,
                   .sum_byte = 9},
    .select_histogram = select_histogram_none,
    .rank_relevant = nullptr,
    .relevant_ids = relevant_ids_scalar,
    .relevant_bits = relevant_bits_scalar,
    .precisions = precisions_scalar,
    .harmonic = &kHarmonicScalar,
    .pairwise_f32 = pairwise_f32_scalar,
    .pairwise_f64 = pairwise_f64_scalar,
    .crc32c_streams = crc32c_streams_scalar,
    .triplets_f32 = triplets_f32_scalar,
    .triplets_f64 = triplets_f64_scalar,
    .surrogate_f32 = &kSurrogateF32Scalar,
    .surrogate_f64 = &kSurrogateF64Scalar,
    .elements_f32 = &kElementsF32Scalar,
    .elements_f64 = &kElementsF64Scalar,
};

#ifdef HASHKERNELS_X86
constexpr Kernels kAvx2{
    .hamming_block = hamming_block_avx2,
    .pack_rows = pack_rows_avx2,
    .unpack_rows = unpack_rows_avx2,
    .below = below_avx2,
    .gather_hits = gather_hits_scalar,
    .list_hits = list_hits_avx2,
    .list_candidates = list_candidates_avx2,
    .measure_candidates = measure_candidates_avx2,
    .measure_rows = measure_rows_avx2,
    .nth_distance = nth_distance_avx2,
    .count_hits = count_hits_avx2,
    .sliced = &kSlicedAvx2,
    .scan_costs = {.row = 0.35,
                   .row_word = 0.2,
                   .row_in_place = 0.29,
                   .plane_byte = 12,
                   .query_byte = 9,
                   .slice_word = 550,
                   .table_byte = 35,
                   .sum_byte = 4.5},
    .select_histogram = select_histogram_avx2,
    .rank_relevant = rank_relevant_avx2,
    .relevant_ids = relevant_ids_avx2,
    .relevant_bits = relevant_bits_avx2,
    .precisions = precisions_avx2,
    .harmonic = &kHarmonicAvx2,
    .pairwise_f32 = pairwise_f32_avx2,
    .pairwise_f64 = pairwise_f64_avx2,
    .crc32c_streams = crc32c_streams_avx2,
    .triplets_f32 = triplets_f32_avx2,
    .triplets_f64 = triplets_f64_avx2,
    .surrogate_f32 = &kSurrogateF32Avx2,
    .surrogate_f64 = &kSurrogateF64Avx2,
    .elements_f32 = &kElementsF32Avx2,
    .elements_f64 = &kElementsF64Avx2,
};
constexpr Kernels kAvx512{
    .hamming_block = hamming_block_avx512,
    .pack_rows = pack_rows_avx512,
    .unpack_rows = unpack_rows_avx512,
    .below = below_avx512,
    .gather_hits = gather_hits_avx512,
    .list_hits = list_hits_avx2,
    .list_candidates = list_candidates_avx2,
    .measure_candidates = measure_candidates_avx2,
    .measure_rows = measure_rows_avx2,
    .nth_distance = nth_distance_avx2,
    .count_hits = count_hits_avx2,
    .sliced = &kSlicedAvx512,
    .scan_costs = {.row = 0.3,
                   .row_word = 0.16,
                   .row_in_place = 0.22,
                   .plane_byte = 6,
                   .query_byte = 6,
                   .slice_word = 430,
                   .table_byte = 30,
                   .sum_byte = 1.9},
    .select_histogram = select_histogram_avx512,
    .rank_relevant = rank_relevant_avx512,
    .relevant_ids = relevant_ids_avx512,
    .relevant_bits = relevant_bits_avx512,
    .precisions = precisions_avx512,
    .harmonic = &kHarmonicAvx2,
    .pairwise_f32 = pairwise_f32_avx512,
    .pairwise_f64 = pairwise_f64_avx512,
    .crc32c_streams = crc32c_streams_avx2,
    .triplets_f32 = triplets_f32_avx512,
    .triplets_f64 = triplets_f64_avx512,
    .surrogate_f32 = &kSurrogateF32Avx512,
    .surrogate_f64 = &kSurrogateF64Avx512,
    .elements_f32 = &kElementsF32Avx512,
    .elements_f64 = &kElementsF64Avx512,
};
constexpr Kernels kAvx512Vpopcnt{
    .hamming_block = hamming_block_avx512_vpopcnt,
    .pack_rows = pack_rows_avx512,
    .unpack_rows = unpack_rows_avx512,
    .below = below_avx512,
    .gather_hits = gather_hits_avx512,
    .list_hits = list_hits_avx2,
    .list_candidates = list_candidates_avx2,
    .measure_candidates = measure_candidates_avx2,
    .measure_rows = measure_rows_avx512_vpopcnt,
    .nth_distance = nth_distance_avx2,
    .count_hits = count_hits_avx2,
    .sliced = &kSlicedAvx512,
    .scan_costs = {.row = 0.4,
                   .row_word = 0.1,
                   .row_in_place = 0.12,
                   .plane_byte = 6,
                   .query_byte = 6,
                   .slice_word = 430,
                   .table_byte = 30,
                   .sum_byte = 1.9},
    .select_histogram = select_histogram_avx512_vpopcnt,
    .rank_relevant = rank_relevant_avx512_vpopcnt,
    .relevant_ids = relevant_ids_avx512_vpopcnt,
    .relevant_bits = relevant_bits_avx512_vpopcnt,
    .precisions = precisions_avx512_vpopcnt,
    .harmonic = &kHarmonicAvx2,
    .pairwise_f32 = pairwise_f32_avx512,
    .pairwise_f64 = pairwise_f64_avx512,
    .crc32c_streams = crc32c_streams_avx2,
    .triplets_f32 = triplets_f32_avx512,
    .triplets_f64 = triplets_f64_avx512,
    .surrogate_f32 = &kSurrogateF32Avx512,
    .surrogate_f64 = &kSurrogateF64Avx512,
    .elements_f32 = &kElementsF32Avx512,
    .elements_f64 = &kElementsF64Avx512,
};
#endif

#ifdef HASHKERNELS_NEON
constexpr Kernels kNeon{
    .hamming_block = hamming_block_neon,
    .pack_rows = pack_rows_scalar,
    .unpack_rows = unpack_rows_scalar,
    .below = below_scalar,
    .gather_hits = gather_hits_scalar,
    .list_hits = list_hits_scalar,
    .list_candidates = list_candidates_scalar,
    .measure_candidates = measure_candidates_scalar,
    .measure_rows = measure_rows_neon,
    .nth_distance = nth_distance_scalar,
    .count_hits = count_hits_scalar,
    .sliced = &kSlicedScalar,
    .scan_costs = {.row = 0.4,
                   .row_word = 0.5,
                   .row_in_place = 0.31,
                   .plane_byte = 24,
                   .query_byte = 9,
                   .slice_word = 900,
                   .table_byte = 60,
                   .sum_byte = 9},
    .select_histogram = select_histogram_none,
    .rank_relevant = nullptr,
    .relevant_ids = relevant_ids_neon,
    .relevant_bits = relevant_bits_neon,
    .precisions = precisions_neon,
    .harmonic = &kHarmonicScalar,
    .pairwise_f32 = pairwise_f32_neon,
    .pairwise_f64 = pairwise_f64_neon,
    .crc32c_streams = crc32c_streams_scalar,
    .triplets_f32 = triplets_f32_neon,
    .triplets_f64 = triplets_f64_neon,
    .surrogate_f32 = &kSurrogateF32Neon,
    .surrogate_f64 = &kSurrogateF64Neon,
    .elements_f32 = &kElementsF32Neon,
    .elements_f64 = &kElementsF64Neon,
};

constexpr Kernels with_crc(Kernels kernels) {
  kernels.crc32c_streams = crc32c_streams_neon_crc;
  return kernels;
}
constexpr Kernels kNeonCrc = with_crc(kNeon);
#endif

}  // namespace

const Kernels& kernels() noexcept {
  switch (active_isa()) {
#ifdef HASHKERNELS_X86
    case Isa::kAvx2:
      return kAvx2;
    case Isa::kAvx512:
      return kAvx512;
    case Isa::kAvx512Vpopcnt:
      return kAvx512Vpopcnt;
#endif
#ifdef HASHKERNELS_NEON
    case Isa::kNeon:
      return arm_has_crc() ? kNeonCrc : kNeon;
#endif
    default:
      return kScalar;
  }
}

}  // namespace hashkernels
