// All entries of a step are compared at once, and those that are near moved to the front.
#include <immintrin.h>

#include "buckets_impl.hpp"
#include "count_bytes_avx2.hpp"

namespace hashkernels {
namespace {

static_assert(kBucketStep == 8);  // slots in a register

// For each set of the eight, its members and then anything.
struct Members {
  uint8_t of[256][8];

  constexpr Members() : of{} {
    for (int set = 0; set < 256; ++set) {
      int count = 0;
      for (int i = 0; i < 8; ++i) {
        if ((set >> i & 1) != 0) of[set][count++] = static_cast<uint8_t>(i);
      }
    }
  }
};
constexpr Members kMembers;

__m256i members(unsigned set) {
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(kMembers.of[set])));
}

void store(uint32_t* out, __m256i x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), x); }

// Where `ones` is at most `limit`.
unsigned at_most(__m256i ones, int limit) {
  return 255 ^ _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(ones, _mm256_set1_epi32(limit))));
}

struct Avx2 {
  static int popcount(uint64_t x) { return __builtin_popcountll(x); }

  static unsigned near_slots(const uint32_t* slots, int row_bits, uint32_t tag, int rest) {
    const __m256i tags = _mm256_srl_epi32(load(slots), _mm_cvtsi32_si128(row_bits));
    const __m256i differ = _mm256_xor_si256(tags, _mm256_set1_epi32(static_cast<int>(tag)));
    // A tag has two bytes, whose counts become one of 16 bits.
    return at_most(_mm256_maddubs_epi16(count_bytes(differ), _mm256_set1_epi8(1)), rest);
  }

  static unsigned near_rows(const uint64_t* rows, uint64_t query, int reach) {
    const __m256i own = _mm256_set1_epi64x(static_cast<int64_t>(query));
    const auto ones = [&](const uint64_t* half) {
      const __m256i differ = _mm256_xor_si256(load(half), own);
      return _mm256_castsi256_ps(_mm256_sad_epu8(count_bytes(differ), _mm256_setzero_si256()));
    };
    // The lower halves of the sums, in the order 0 1 4 5 2 3 6 7.
    const __m256i sums = _mm256_castps_si256(_mm256_shuffle_ps(ones(rows), ones(rows + 4), _MM_SHUFFLE(2, 0, 2, 0)));
    return at_most(_mm256_permute4x64_epi64(sums, _MM_SHUFFLE(3, 1, 2, 0)), reach);
  }

  static void write_slots(const uint32_t* slots, uint32_t mask, unsigned near, uint32_t* out) {
    const __m256i rows = _mm256_and_si256(load(slots), _mm256_set1_epi32(static_cast<int>(mask)));
    store(out, _mm256_permutevar8x32_epi32(rows, members(near)));
  }

  static void write_rows(uint32_t first, unsigned near, uint32_t* out) {
    store(out, _mm256_add_epi32(members(near), _mm256_set1_epi32(static_cast<int>(first))));
  }
};

}  // namespace

int list_candidates_avx2(const BucketEntries& entries, Probe* probes, int num_probes, Candidates out, int room,
                         int* num_candidates) {
  return list_candidates<Avx2>(entries, probes, num_probes, out, room, num_candidates);
}

void measure_candidates_avx2(Candidates candidates, int count, const uint64_t* queries, const uint64_t* rows,
                             int num_words, uint16_t* distances) {
  measure_candidates<Avx2>(candidates, count, queries, rows, num_words, distances);
}

}  // namespace hashkernels
