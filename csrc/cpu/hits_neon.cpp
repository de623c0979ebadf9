// The compiler's popcount is three instructions here, byte counts (cnt) among them.
#include "hits_impl.hpp"

namespace hashkernels {
namespace {

struct Neon {
  static int popcount(uint64_t x) { return __builtin_popcountll(x); }
};

}  // namespace

void measure_rows_neon(const uint64_t* query, const uint8_t* rows, int64_t stride, int num_bytes, int count,
                       uint16_t* distances) {
  measure_rows<Neon>(query, rows, stride, num_bytes, count, distances);
}

}  // namespace hashkernels
