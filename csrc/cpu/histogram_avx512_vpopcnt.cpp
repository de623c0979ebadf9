// One VPOPCNT a bucket.
#include "ranking_impl.hpp"
#include "sliced_avx512.hpp"

namespace hashkernels {
namespace {

struct Avx512Vpopcnt : Avx512 {
  static HASHKERNELS_INLINE Vector popcount(Vector v) { return (Vector)_mm512_popcnt_epi64((__m512i)v); }
};

}  // namespace

AddToHistograms select_histogram_avx512_vpopcnt(int num_bytes, bool relevance) {
  return select_histogram<Avx512Vpopcnt>(num_bytes, relevance);
}

void rank_relevant_avx512_vpopcnt(const HistogramBlock& block, const HistogramQueries& queries, int64_t query,
                                  int64_t* before, int64_t* hits, RankedCodes* ranked) {
  rank_relevant<Avx512Vpopcnt>(block, queries, query, before, hits, ranked);
}

}  // namespace hashkernels
