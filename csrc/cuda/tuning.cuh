// Block and tile sizes, apart from the algorithms that they tune.
#pragma once

namespace hashkernels::cuda::tuning {

// Distance matrix: a block of threads computes kQueryTile x kDatabaseTile distances, kWordsPerStep 32-bit words at a time.
struct Distance {
  static constexpr int kWarps = 8;
  static constexpr int kQueriesPerThread = 8;
  static constexpr int kCodesPerThread = 4;
  static constexpr int kQueryTile = kWarps * kQueriesPerThread;
  static constexpr int kDatabaseTile = 32 * kCodesPerThread;
  static constexpr int kWordsPerStep = 16;
};

}  // namespace hashkernels::cuda::tuning
