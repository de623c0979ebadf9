// Block and tile sizes, apart from the algorithms that they tune.
#pragma once

#include <cstdint>

namespace hashkernels::cuda::tuning {

// Distance matrix: a block of threads takes kQueryTile queries and kCodesPerThread codes a thread; wider codes kBatch
// queries and kSliceWords 32-bit words at a time.
struct Distance {
  static constexpr int kThreads = 256;
  static constexpr int kBlocks = 2;  // an SM: 128 registers a thread
  static constexpr int kCodesPerThread = 4;
  static constexpr int kQueryTile = 64;
  static constexpr int64_t kMaxTiles = 1 << 15;  // at once: a block takes further ones after its first
  static constexpr int kBatch = 4;
  static constexpr int kSliceWords = 8;
};

// Packing: a warp packs kWordsPerWarp words of 32 values each, so that as many loads are in flight.
struct Packing {
  static constexpr int kThreads = 256;
  static constexpr int kWordsPerWarp = 8;
};

// Passes in which a thread owns one query and one chunk of the database (chunks.cuh).
struct Chunks {
  static constexpr int64_t kTargetThreads = 1 << 17;  // 768 on each of 132 SMs, and some
  static constexpr int64_t kMinRows = 512;            // below that, writing the counters costs more than counting
  static constexpr int64_t kMaxCounters = int64_t{1} << 23;  // 64 MB of workspace, where one chunk a query fits into it
  static constexpr int kSharedBytes = 34 << 10;              // counters of a block; kBlocks share an SM
  static constexpr int kMaxThreads = 128;
  static constexpr int kBlocks = 6;  // an SM: 80 registers a thread
  static constexpr int kMinThreads = 32;

  // Below kWarpQueries queries a warp owns one and a chunk (warp_search.cuh); kWarpStep codes are a whole number of
  // what a warp reads at once.
  static constexpr int64_t kWarpQueries = 32;
  static constexpr int64_t kTargetWarps = 1 << 12;
  static constexpr int64_t kMinWarpRows = 2048;
  static constexpr int64_t kWarpStep = 128;
};

// Top-k by limits (topk.cu), where k and the database are large enough for it.
struct Limits {
  static constexpr int64_t kMinRows = 16384;
  static constexpr int64_t kRowsPerResult = 16;  // at least
  static constexpr int64_t kMaxResults = 1024;
  static constexpr int64_t kCandidatesPerResult = 16;
  static constexpr int64_t kMinCandidates = 4096;
  static constexpr int64_t kSampleShare = 16;  // of the rows, one is in the sample
  static constexpr int64_t kMaxSample = 1 << 20;
  static constexpr int64_t kGrowth = 4;             // of the rows between one tightening and the next
  static constexpr int64_t kMinMatrixQueries = 17;  // fewer leave most of a matrix empty

  // For a few queries launches count for more than candidates.
  static constexpr int64_t kFewQueries = 32;
  static constexpr int64_t kFewCandidates = 65536;
  static constexpr int64_t kFewSample = 1 << 16;
  static constexpr int64_t kFewGrowth = 32;
  static constexpr int64_t kFewRows = 64;  // as many as the sample had, before limits are first tightened
};

// Filters: a block of threads compares tiles of queries with the codes that its threads hold.
struct Filtering {
  static constexpr int kThreads = 256;
  static constexpr int kQueryTile = 64;
  static constexpr int kWideQueryTile = 16;
  static constexpr int64_t kTargetBlocks = 132 * 32;
};

// Filters by binary matrix products: a warp has tiles of 16 queries and looks at kColumns * 8 codes together.
struct BinaryFiltering {
  static constexpr int kWarps = 4;
  static constexpr int kBlocks = 5;      // an SM: 102 registers a thread
  static constexpr int kWideBlocks = 3;  // of codes of more than 64 bits, or at odd addresses
  static constexpr int kQueryTiles = 4;
  static constexpr int kWideQueryTiles = 2;  // of codes of more than 128 bits
  static constexpr int kColumns = 2;
  static constexpr int kBuffer = 128;
  static constexpr int64_t kTargetWarps = 132 * 96;
  static constexpr int64_t kMinRows = 256;
};

// Candidates of a query are sorted in shared memory.
struct Selecting {
  static constexpr int kThreads = 128;
  static constexpr int kFewThreads = 1024;  // for a few queries
  static constexpr int kSelected = 4096;
};

// Passes in which a block copies tiles of the database to shared memory (staged.cuh).
struct Staged {
  static constexpr int kMaxThreads = 128;
  static constexpr int kBlocks = 6;      // an SM: 80 registers a thread
  static constexpr int kMinQueries = 8;  // of a block
  static constexpr int kMaxTileRows = 256;
  static constexpr int kTileWords = 512;  // 2 KB of codes
  static constexpr int kMaxBatch = 8;
  static constexpr int kBatchWords = 16;               // of codes in registers
  static constexpr int kSharedBytes = 34 << 10;        // counters of a block; kBlocks share an SM
  static constexpr int kReplaySharedBytes = 43 << 10;  // the same with running ranks, next to a tile
  static constexpr int kMaxReplayThreads = 64;
  static constexpr int64_t kTargetBlocks = 1 << 12;  // five for each place on 132 SMs
  static constexpr int64_t kMinRows = 512;           // below that, writing the counters costs more than counting
  static constexpr int64_t kMaxCounters = int64_t{1} << 23;  // 64 MB of workspace, where one chunk a query fits into it
  static constexpr int64_t kMaxPackedRows = 32768;           // a counter of 16 bits holds 65535
};

// Exclusive prefix sums: a block scans segments of kSegment values, kThreads * kPerThread at a time.
struct Scan {
  static constexpr int kThreads = 256;
  static constexpr int kPerThread = 4;
  static constexpr int64_t kSegment = 16384;
};

// Pairwise losses: tiles of kTile x kTile pairs; in float32 kStep values of an embedding at a time, and a thread owns
// 4 x 4 pairs.
struct Pairwise {
  static constexpr int kTile = 64;
  static constexpr int kStep = 16;
  static constexpr int kSplitColumns = 32;  // of a tile on tensor cores; more of them take more registers
  static constexpr int kThreads = 256;
  static constexpr int64_t kTargetBlocks = 1056;                  // eight a SM on 132 of them
  static constexpr int64_t kMaxPartialValues = int64_t{1} << 24;  // 64 MB of partial gradients
  static constexpr int64_t kMostCounted = 1 << 26;                // columns of a block: a warp adds in 32 bits
};

// Triplets: a block takes a query, and its relevant items of kItems at a time.
struct Triplets {
  static constexpr int kThreads = 256;
  static constexpr int kBlocks = 4;  // an SM: 64 registers a thread
  static constexpr int kItems = 512;
};

}  // namespace hashkernels::cuda::tuning
