#include "hashkernels/index.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "blocks.hpp"
#include "kernels.hpp"
#include "parallel.hpp"
#include "scan_method.hpp"
#include "search_plan.hpp"

namespace hashkernels {
namespace {

constexpr int64_t kBlocksPerTask = 16;

int64_t plane_words(int num_bytes) { return int64_t{8} * num_bytes * kHitWords; }

// Runs body(block, words) for every block in [first, last), with room for the words of a block.
template <class Body>
Status for_each_block(int64_t first, int64_t last, int num_bytes, int num_threads, Body&& body) {
  std::atomic<bool> out_of_memory{false};
  const Status status = parallel_for(divide_up(last - first, kBlocksPerTask), num_threads, [&](int64_t task, int) {
    Buffer<uint64_t> words(words_per_code(num_bytes) * kBlockCodes);
    if (!words) {
      out_of_memory.store(true, std::memory_order_relaxed);
      return;
    }
    const int64_t begin = first + task * kBlocksPerTask;
    for (int64_t block = begin; block < std::min(begin + kBlocksPerTask, last); ++block) body(block, words.data());
  });
  return out_of_memory.load(std::memory_order_relaxed) ? Status::kOutOfMemory : status;
}

// Code i of a block, out of or into its words.
void write_code(const uint64_t* words, int64_t i, int num_bytes, uint8_t* out) {
  for (int byte = 0; byte < num_bytes; byte += 8) {
    std::memcpy(out + byte, words + byte / 8 * kBlockCodes + i, std::min(8, num_bytes - byte));
  }
}

void read_code(const uint8_t* code, int64_t i, int num_bytes, uint64_t* words) {
  for (int byte = 0; byte < num_bytes; byte += 8) {
    uint64_t word = 0;
    std::memcpy(&word, code + byte, std::min(8, num_bytes - byte));
    words[byte / 8 * kBlockCodes + i] = word;
  }
}

}  // namespace

int64_t sliced_size(int64_t num_codes, int num_bytes) noexcept {
  return num_blocks(num_codes) * plane_words(num_bytes) * 8;
}

Status slice_codes(const Codes& codes, int64_t first, uint64_t* planes, int num_threads) noexcept {
  if (codes.num_codes == 0) return Status::kOk;
  const SlicedKernels& sliced = *kernels().sliced;
  const int num_bytes = codes.num_bytes;
  const int64_t last = first + codes.num_codes;
  return for_each_block(first / kBlockCodes, num_blocks(last), num_bytes, num_threads,
                        [&](int64_t block, uint64_t* words) {
                          uint64_t* at = planes + block * plane_words(num_bytes);
                          const int64_t begin = block * kBlockCodes;
                          if (begin >= first) {
                            load_block(codes, begin - first, words);
                          } else {
                            sliced.unslice(at, 8 * num_bytes, words);
                            for (int64_t n = first; n < std::min(last, begin + kBlockCodes); ++n) {
                              read_code(codes.row(n - first), n - begin, num_bytes, words);
                            }
                          }
                          sliced.slice(words, 8 * num_bytes, at);
                        });
}

Status unslice_codes(const SlicedCodes& codes, int64_t first, int64_t count, uint8_t* out, int64_t out_stride,
                     int num_threads) noexcept {
  if (count == 0) return Status::kOk;
  const SlicedKernels& sliced = *kernels().sliced;
  return for_each_block(
      first / kBlockCodes, num_blocks(first + count), codes.num_bytes, num_threads,
      [&](int64_t block, uint64_t* words) {
        const int64_t begin = block * kBlockCodes;
        sliced.unslice(codes.planes + block * plane_words(codes.num_bytes), 8 * codes.num_bytes, words);
        for (int64_t n = std::max(first, begin); n < std::min(first + count, begin + kBlockCodes); ++n) {
          write_code(words, n - begin, codes.num_bytes, out + (n - first) * out_stride);
        }
      });
}

Status gather_codes(const SlicedCodes& codes, const int64_t* positions, int64_t count, uint8_t* out,
                    int64_t out_stride) noexcept {
  for (int64_t i = 0; i < count; ++i) {
    const int64_t code = positions[i] % kBlockCodes;
    const uint64_t* planes = codes.planes + positions[i] / kBlockCodes * plane_words(codes.num_bytes) + code / 64;
    for (int byte = 0; byte < codes.num_bytes; ++byte) {
      uint64_t value = 0;
      for (int bit = 0; bit < 8; ++bit) value |= ((planes[(8 * byte + bit) * kHitWords] >> (code % 64)) & 1) << bit;
      out[i * out_stride + byte] = static_cast<uint8_t>(value);
    }
  }
  return Status::kOk;
}

const char* search_method(bool sliced, int num_bytes, int64_t num_queries, int64_t num_codes,
                          int num_threads) noexcept {
  const SearchPlan plan(num_queries, num_codes, num_threads);
  return scan_method_name(plan_scan(kernels().scan_costs, plan.scan_size(sliced, num_bytes)).method);
}

// Threads share the codes of a scan, but only queries of a search through tables.
double most_hash_work(int num_bytes, int64_t num_queries, int64_t num_codes, int num_threads) noexcept {
  constexpr double kCached = 16 << 20, kFetchByte = 0.05;  // codes that no cache holds are read from memory
  const SearchPlan plan(num_queries, num_codes, num_threads);
  const double task = plan_scan(kernels().scan_costs, plan.scan_size(true, num_bytes)).nanoseconds;
  const double bytes = static_cast<double>(num_codes) * num_bytes;
  const double scan = std::max(task * static_cast<double>(plan.num_parts), bytes > kCached ? kFetchByte * bytes : 0);
  const auto sharers = static_cast<double>(std::min<int64_t>(num_queries, num_threads));
  return scan / static_cast<double>(plan.queries_per_tile) * sharers / num_threads;
}

}  // namespace hashkernels
