// How a block of threads walks the database together: it copies tiles of codes, and of one tag a code, to shared
// memory, from where its threads read them at once.
//
// A block has `queries` queries and as many neighbouring chunks as it has threads for each query; thread t has query
// t % queries and chunk t / queries, which it walks in the order of the index. The threads of a warp that have the same
// chunk read the same address, 16 bytes at a time. All threads of a block take part, those past the last query as the
// last query, those past the last chunk with no rows.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>

#include "arch.cuh"
#include "chunks.cuh"
#include "hashkernels/codes.h"
#include "labels.cuh"
#include "launch.cuh"
#include "tuning.cuh"
#include "words.cuh"

namespace hashkernels::cuda {

// Of a power of two.
constexpr int log2_of(int power) { return power == 1 ? 0 : 1 + log2_of(power / 2); }

struct StagedPlan {
  Chunks chunks;
  int threads;      // of a block
  int queries;      // of a block; both are powers of two
  int chunks_log2;  // chunks of a block
  unsigned groups, chunk_groups;

  dim3 grid() const { return dim3(groups * chunk_groups); }
};

// `queries`: as many as a block can have. Fewer are taken where most of them would be past the end. `max_counters`:
// (query, chunk) that may leave something behind.
inline StagedPlan plan_staged(int64_t num_queries, int64_t num_database, int threads, int queries,
                              int64_t max_counters = INT64_MAX, int64_t max_rows = INT64_MAX) {
  using Tuning = tuning::Staged;
  num_queries = std::max<int64_t>(num_queries, 1);
  const auto past_the_end = [&] { return divide_up(num_queries, queries) * queries - num_queries; };
  while (queries > Tuning::kMinQueries && 8 * past_the_end() > num_queries) queries /= 2;
  const int64_t groups = divide_up(num_queries, queries);
  const int64_t chunks_a_block = threads / queries;
  int64_t count = std::min(divide_up(Tuning::kTargetBlocks, groups) * chunks_a_block, max_counters / num_queries);
  count = std::max<int64_t>(std::min(count, num_database / Tuning::kMinRows), 1);
  const int64_t rows = std::min(std::max<int64_t>(divide_up(num_database, count), 1), max_rows);
  const Chunks chunks{rows, std::max<int64_t>(divide_up(num_database, rows), 1)};
  return {chunks,
          threads,
          queries,
          log2_of(threads / queries),
          static_cast<unsigned>(groups),
          static_cast<unsigned>(divide_up(chunks.count, chunks_a_block))};
}

// The query and the chunk of this thread.
struct StagedShare {
  __device__ StagedShare(const StagedPlan& plan, int64_t num_queries, int64_t num_database)
      : chunk_rows(plan.chunks.rows),
        slot(static_cast<int>(threadIdx.x) & (plan.queries - 1)),
        place(static_cast<int>(threadIdx.x) / plan.queries),
        chunks_log2(plan.chunks_log2) {
    const int64_t wanted = static_cast<int64_t>(blockIdx.x % plan.groups) * plan.queries + slot;
    const int64_t block_chunk = static_cast<int64_t>(blockIdx.x / plan.groups) << chunks_log2;
    query = min(wanted, num_queries - 1);
    chunk = block_chunk + place;
    query_exists = wanted < num_queries;
    chunk_exists = chunk < plan.chunks.count;
    block_first = block_chunk * chunk_rows;
    block_rows = min(chunk_rows, num_database - block_first);
    first = chunk * chunk_rows;
    rows = max(min(chunk_rows, num_database - first), int64_t{0});
  }

  int64_t chunk_rows;
  int slot, place;  // of the query and of the chunk, in the block
  int chunks_log2;  // chunks of a block
  int64_t query, chunk;
  bool query_exists, chunk_exists;
  int64_t block_first, block_rows;  // the first row of the block, and the rows of its longest chunk
  int64_t first, rows;              // of the chunk
};

template <class T, int count>
struct alignas(16) Batch {
  T values[count];
};

// Codes and tags that are read in batches. The rows of each chunk lie 16 bytes further than they need to, in other
// banks than those of the chunk before.
template <class Width, class Tag>
struct StagedTile {
  using Tuning = tuning::Staged;
  static constexpr int kRows = std::min(Tuning::kMaxTileRows, Tuning::kTileWords / Width::words);
  static constexpr int kRowsLog2 = log2_of(kRows);
  static constexpr int kBatch = std::min(Tuning::kMaxBatch, Tuning::kBatchWords / Width::words);
  static constexpr int kCodePadding = std::max(4 / Width::words, 1);
  static constexpr int kTagPadding = std::max(16 / static_cast<int>(sizeof(Tag)), 1);
  static constexpr int kMaxChunks = Tuning::kMaxThreads / Tuning::kMinQueries;
  static_assert(kRows / kMaxChunks % kBatch == 0 && kBatch * sizeof(Tag) % 16 == 0);

  alignas(16) uint32_t words[(kRows + kMaxChunks * kCodePadding) * Width::words];
  alignas(16) Tag tags[kRows + kMaxChunks * kTagPadding];
};

// visit(row, distances, tags) for rows begin .. end of the chunk, in order, of which it takes as many from `row` on as
// the arrays have elements: a batch, or one. begin and end are the same for all threads of the block, which all call
// after_batch() after at most kMaxBatch rows. tag_of(row) is asked for once a block.
template <class Width, class TagOf, class Visit, class AfterBatch>
__device__ __forceinline__ void for_each_staged(const Query<Width>& query, const Codes& database,
                                                const StagedShare& share, int64_t begin, int64_t end, TagOf&& tag_of,
                                                Visit&& visit, AfterBatch&& after_batch) {
  using Tag = decltype(tag_of(int64_t{0}));
  using Tile = StagedTile<Width, Tag>;
  constexpr int kBatch = Tile::kBatch;
  constexpr int kWords = Width::words;
  Tile& tile = arch::shared_object<Tile>();
  const int step_log2 = Tile::kRowsLog2 - share.chunks_log2;
  const int step = 1 << step_log2;  // rows of each chunk in a tile
  const uint32_t* const own_words = tile.words + share.place * (step + Tile::kCodePadding) * kWords;
  const Tag* const own_tags = tile.tags + share.place * (step + Tile::kTagPadding);

  end = min(end, share.block_rows);
  for (int64_t at = begin; at < end; at += step) {
    __syncthreads();  // the tile before has been read
    for (int i = static_cast<int>(threadIdx.x); i < Tile::kRows; i += static_cast<int>(blockDim.x)) {
      const int place = i >> step_log2;
      const int in_step = i & (step - 1);
      const int64_t row = share.block_first + place * share.chunk_rows + at + in_step;
      if (at + in_step >= end || row >= database.num_codes) continue;
      uint32_t words[kWords];
      load_words<Width>(database.data + row * database.stride, database.num_bytes, words);
#pragma unroll
      for (int w = 0; w < kWords; ++w) {
        tile.words[(place * (step + Tile::kCodePadding) + in_step) * kWords + w] = words[w];
      }
      tile.tags[place * (step + Tile::kTagPadding) + in_step] = tag_of(row);
    }
    __syncthreads();  // the tile is there
    const int tile_rows = static_cast<int>(min(end - at, static_cast<int64_t>(step)));
    const int rows = static_cast<int>(max(min(share.rows - at, static_cast<int64_t>(tile_rows)), int64_t{0}));
    const int64_t first_row = share.first + at;
    for (int i = 0; i < tile_rows; i += kBatch) {
      if (i + kBatch <= rows) {
        const auto codes = *reinterpret_cast<const Batch<uint32_t, kBatch * kWords>*>(own_words + i * kWords);
        const auto tags = *reinterpret_cast<const Batch<Tag, kBatch>*>(own_tags + i);
        int distances[kBatch];
#pragma unroll
        for (int b = 0; b < kBatch; ++b) distances[b] = query.distance_to(codes.values + b * kWords);
        visit(first_row + i, distances, tags.values);
      } else {
#pragma unroll 1
        for (int j = i; j < rows; ++j) {
          const int distance[1] = {query.distance_to(own_words + j * kWords)};
          const Tag tag[1] = {own_tags[j]};
          visit(first_row + j, distance, tag);
        }
      }
      after_batch();
    }
  }
}

// A column of a matrix in shared memory: neighbouring columns lie in neighbouring banks.
template <class T>
class StagedColumn {
 public:
  __device__ StagedColumn(T* matrix, int column, int num_columns)
      : first_(reinterpret_cast<char*>(matrix + column)),
        step_(arch::kept(static_cast<int>(sizeof(T)) * num_columns)) {}

  __device__ __forceinline__ T& operator[](int row) const { return *reinterpret_cast<T*>(first_ + row * step_); }

 private:
  char* first_;
  int step_;  // bytes
};

// Visits staged codes and their labels: each adds to its distance's counter what `is_relevant` says.
struct CountPairs {
  const Relevance& is_relevant;
  const StagedColumn<uint32_t>& column;

  template <int count>
  __device__ __forceinline__ void operator()(int64_t row, const int (&distances)[count],
                                             const uint64_t (&labels)[count]) const {
    uint32_t additions[count];
    is_relevant.add_up(row, labels, additions);
#pragma unroll
    for (int i = 0; i < count; ++i) atomicAdd(&column[distances[i]], additions[i]);
  }
};

// Columns of `bytes` each that fit in the shared memory of a block: a power of two.
inline int shared_columns(int bytes, int shared_bytes) {
  int columns = tuning::Staged::kMaxThreads;
  while (columns * bytes > shared_bytes) columns /= 2;
  return columns;
}

}  // namespace hashkernels::cuda
