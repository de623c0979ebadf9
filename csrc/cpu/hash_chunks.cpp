// Which bits make a chunk, and the tables over them.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <numeric>
#include <vector>

#include "hash_tables.hpp"
#include "kernels.hpp"
#include "search_plan.hpp"

namespace hashkernels {
namespace {

// 4096 codes show which bits vary, and which vary together; of wide codes fewer, as there are so many pairs of bits.
int64_t sample_blocks(int num_bits) { return num_bits <= 512 ? 8 : 1; }

// The bits of a sample of the codes: row b has one bit a code.
struct BitSample {
  int64_t num_words = 0, num_codes = 0;
  std::vector<uint64_t> bits;

  explicit BitSample(const SlicedCodes& codes) {
    const int num_bits = 8 * codes.num_bytes;
    const int64_t whole = codes.num_codes / kBlockCodes;  // the last block may hold what is no code
    const int64_t blocks = std::min(whole, sample_blocks(num_bits));
    num_words = blocks * kHitWords;
    num_codes = blocks * kBlockCodes;
    bits.resize(num_bits * num_words);
    for (int64_t i = 0; i < blocks; ++i) {
      const uint64_t* planes = codes.planes + i * whole / blocks * num_bits * kHitWords;
      for (int b = 0; b < num_bits; ++b) {
        std::memcpy(&bits[b * num_words + i * kHitWords], planes + b * kHitWords, sizeof(uint64_t) * kHitWords);
      }
    }
  }

  double share(int bit) const {
    int64_t count = 0;
    for (int64_t i = 0; i < num_words; ++i) count += popcount(bits[bit * num_words + i]);
    return num_codes == 0 ? 0.5 : static_cast<double>(count) / static_cast<double>(num_codes);
  }

  // How far bits a and b agree or disagree more often than chance would have it, from 0 to 1.
  double dependence(int a, int b) const {
    int64_t differ = 0;
    for (int64_t i = 0; i < num_words; ++i) differ += popcount(bits[a * num_words + i] ^ bits[b * num_words + i]);
    return num_codes == 0 ? 0.0 : std::abs(1.0 - 2.0 * static_cast<double>(differ) / static_cast<double>(num_codes));
  }
};

int num_chunks_for(int bits, int64_t num_codes) {
  // Buckets as many as codes: fewer leave much to compare, more are mostly empty.
  const double key_bits = std::max(4.0, std::log2(static_cast<double>(std::max<int64_t>(num_codes, 1))));
  if (bits <= kBucketBits || (bits <= kMaxChunkBits && bits <= key_bits + 1)) return 1;
  return std::clamp(static_cast<int>(std::lround(bits / std::min<double>(key_bits, kMaxChunkBits))), 2, kMaxChunks);
}

// The plane of bit i of a code, whose pad bits lie at one end of the last byte or at the other.
int plane_of(int i, bool little) { return little ? i : i / 8 * 8 + 7 - i % 8; }

}  // namespace

int choose_chunks(const SlicedCodes& codes, int bits, bool little, uint16_t* order, int32_t* widths) noexcept {
  const int num_bits = 8 * codes.num_bytes, num_chunks = num_chunks_for(bits, codes.num_codes);
  const BitSample sample(codes);
  std::vector<double> variance(num_bits, -1.0);  // pad bits last
  for (int i = 0; i < bits; ++i) {
    const int plane = plane_of(i, little);
    const double share = sample.share(plane);
    variance[plane] = share * (1 - share);
  }
  std::vector<int> by_variance(num_bits);
  std::iota(by_variance.begin(), by_variance.end(), 0);
  std::stable_sort(by_variance.begin(), by_variance.end(), [&](int a, int b) { return variance[a] > variance[b]; });

  for (int c = 0; c < num_chunks; ++c) {
    widths[c] = std::min(bits / num_chunks + (c < bits % num_chunks ? 1 : 0), kMaxChunkBits);
  }
  std::vector<std::vector<int>> chunks(num_chunks);
  std::vector<int> rest;
  for (int bit : by_variance) {
    int best = -1;
    double least = 0;
    for (int c = 0; c < num_chunks && variance[bit] >= 0; ++c) {
      if (static_cast<int>(chunks[c].size()) == widths[c]) continue;
      // A bit is worth least where it repeats what the chunk has; among equals the emptiest chunk is next.
      double overlap = 1e-3 * static_cast<double>(chunks[c].size());
      for (int other : chunks[c]) {
        const double dependence = sample.dependence(bit, other);
        overlap += dependence * dependence;
      }
      if (best < 0 || overlap < least) {
        best = c;
        least = overlap;
      }
    }
    (best < 0 ? rest : chunks[best]).push_back(bit);
  }
  uint16_t* next = order;
  for (const std::vector<int>& chunk : chunks) next = std::copy(chunk.begin(), chunk.end(), next);
  std::copy(rest.begin(), rest.end(), next);
  return num_chunks;
}

void reorder_block(const Kernels& isa, const uint16_t* order, int num_bits, const uint64_t* planes, uint64_t* reordered,
                   uint64_t* words) {
  for (int b = 0; b < num_bits; ++b) {
    std::memcpy(reordered + b * kHitWords, planes + order[b] * kHitWords, sizeof(uint64_t) * kHitWords);
  }
  isa.sliced->unslice(reordered, num_bits, words);
}

Status build_hash_tables(const SlicedCodes& codes, const HashTables& tables, uint32_t* offsets, uint64_t* rows,
                         uint32_t* ids, uint32_t* slots, int num_threads) noexcept {
  const Kernels& isa = kernels();
  const int num_bits = 8 * codes.num_bytes;
  const int64_t num_words = words_per_code(codes.num_bytes), num_codes = codes.num_codes;
  const ChunkFields fields(tables);
  // The codes in their order of bits but still in the order of positions.
  Buffer<uint64_t> unsorted(num_codes * num_words);
  if (!unsorted) return Status::kOutOfMemory;
  std::atomic<bool> out_of_memory{false};
  Status status = parallel_for(divide_up(num_blocks(num_codes), 16), num_threads, [&](int64_t task, int) {
    Buffer<uint64_t> reordered(num_bits * kHitWords), words(num_words * kBlockCodes);
    if (!reordered || !words) {
      out_of_memory.store(true, std::memory_order_relaxed);
      return;
    }
    for (int64_t block = task * 16; block < std::min((task + 1) * 16, num_blocks(num_codes)); ++block) {
      const uint64_t* planes = codes.planes + block * num_bits * kHitWords;
      reorder_block(isa, tables.order, num_bits, planes, reordered.data(), words.data());
      const int64_t first = block * kBlockCodes, count = std::min(kBlockCodes, num_codes - first);
      for (int64_t i = 0; i < count; ++i) {
        for (int64_t w = 0; w < num_words; ++w) unsorted[(first + i) * num_words + w] = words[w * kBlockCodes + i];
      }
    }
  });
  if (status != Status::kOk) return status;
  if (out_of_memory.load(std::memory_order_relaxed)) return Status::kOutOfMemory;

  // Sorted by counting, by (key, place): of chunk 0 the positions, which makes the rows, of any other the rows.
  const auto sort_chunk = [&](int chunk, const uint64_t* of, uint32_t* sorted, auto&& entry) {
    uint32_t* starts = offsets + fields.first_offset(chunk);
    const int64_t num_keys = int64_t{1} << tables.widths[chunk];
    std::fill(starts, starts + num_keys + 1, 0);
    // In batches, so that the memory works on many at a time.
    constexpr int64_t kBatch = 64;
    uint32_t places[kBatch];
    const auto for_each_batch = [&](auto&& visit) {
      for (int64_t first = 0; first < num_codes; first += kBatch) {
        const int64_t count = std::min(kBatch, num_codes - first);
        for (int64_t i = 0; i < count; ++i) {
          places[i] = fields.key(of + (first + i) * num_words, chunk);
          __builtin_prefetch(starts + places[i], 1);
        }
        visit(first, count);
      }
    };
    for_each_batch([&](int64_t, int64_t count) {
      for (int64_t i = 0; i < count; ++i) ++starts[places[i] + 1];
    });
    for (int64_t key = 0; key < num_keys; ++key) starts[key + 1] += starts[key];
    for_each_batch([&](int64_t first, int64_t count) {
      for (int64_t i = 0; i < count; ++i) {
        places[i] = starts[places[i]]++;
        __builtin_prefetch(sorted + places[i], 1);
      }
      for (int64_t i = 0; i < count; ++i) sorted[places[i]] = entry(of + (first + i) * num_words, first + i);
    });
    // Filling has moved every start to the next one.
    std::memmove(starts + 1, starts, sizeof(uint32_t) * num_keys);
    starts[0] = 0;
  };
  sort_chunk(0, unsorted.data(), ids, [](const uint64_t*, int64_t i) { return static_cast<uint32_t>(i); });
  if (rows == nullptr) return Status::kOk;
  status = parallel_for(divide_up(num_codes, kBlockCodes), num_threads, [&](int64_t task, int) {
    const int64_t last = std::min((task + 1) * kBlockCodes, num_codes);
    for (int64_t i = task * kBlockCodes; i < last; ++i) {
      std::memcpy(rows + i * num_words, unsorted.data() + ids[i] * num_words, sizeof(uint64_t) * num_words);
    }
  });
  if (status != Status::kOk) return status;
  return parallel_for(tables.num_chunks - 1, num_threads, [&](int64_t i, int) {
    const int chunk = static_cast<int>(i) + 1;
    sort_chunk(chunk, rows, slots + i * num_codes,
               [&](const uint64_t* row, int64_t number) { return fields.slot(row, number, chunk); });
  });
}

}  // namespace hashkernels
