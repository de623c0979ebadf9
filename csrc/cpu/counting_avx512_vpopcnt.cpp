#include "counting_impl.hpp"

namespace hashkernels {

void relevant_ids_avx512_vpopcnt(int64_t query_id, const int64_t* block_ids, uint8_t* relevant) {
  relevant_ids(query_id, block_ids, relevant);
}

void relevant_bits_avx512_vpopcnt(const uint64_t* query_words, const uint64_t* block_words, int num_words,
                                  uint8_t* relevant) {
  relevant_bits(query_words, block_words, num_words, relevant);
}

PrecisionSum precisions_avx512_vpopcnt(const RankedCodes& ranked, int64_t earlier, int64_t limit, uint64_t* out) {
  return precisions(ranked, earlier, limit, out);
}

}  // namespace hashkernels
