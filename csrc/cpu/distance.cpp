#include "hashkernels/distance.h"

#include <algorithm>

#include "blocks.hpp"
#include "kernels.hpp"
#include "parallel.hpp"

namespace hashkernels {

// A task is one block of the database against all queries: the block is transposed once and stays in the cache.
template <class T>
Status hamming_distance(const Codes& queries, const Codes& database, T* out, int num_threads) noexcept {
  const Kernels& isa = kernels();
  const int num_words = words_per_code(queries.num_bytes);
  Buffer<uint64_t> query_words(queries.num_codes * num_words);
  if (!query_words) return Status::kOutOfMemory;
  for (int64_t q = 0; q < queries.num_codes; ++q) {
    load_code(queries.row(q), queries.num_bytes, query_words.data() + q * num_words);
  }
  return parallel_for(num_blocks(database.num_codes), num_threads, [&](int64_t block, int) {
    alignas(64) uint64_t words[kMaxWords * kBlockCodes];
    alignas(64) uint16_t distances[kBlockCodes];
    const int64_t first = block * kBlockCodes;
    const int64_t count = std::min(kBlockCodes, database.num_codes - first);
    load_block(database, first, words);
    for (int64_t q = 0; q < queries.num_codes; ++q) {
      isa.hamming_block(query_words.data() + q * num_words, words, num_words, distances);
      T* row = out + q * database.num_codes + first;
      for (int64_t i = 0; i < count; ++i) row[i] = static_cast<T>(distances[i]);
    }
  });
}

template Status hamming_distance<uint8_t>(const Codes&, const Codes&, uint8_t*, int) noexcept;
template Status hamming_distance<int16_t>(const Codes&, const Codes&, int16_t*, int) noexcept;
template Status hamming_distance<int32_t>(const Codes&, const Codes&, int32_t*, int) noexcept;

}  // namespace hashkernels
