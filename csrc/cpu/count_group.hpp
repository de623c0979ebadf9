// The histograms of a group of queries over a part of the database: the work of one task of retrieval_counts.
#pragma once

#include <cstdint>

#include "counting_blocks.hpp"
#include "kernels.hpp"

namespace hashkernels {

// Queries first..last - 1 against blocks first_block..last_block - 1. Counts are added to total and relevant, laid out
// as retrieval_counts does for all queries.
struct CountingTask {
  const Codes& queries;
  const Codes& database;
  Labels query_labels, database_labels;
  int64_t first, last;
  int64_t first_block, last_block;
  int64_t* total;
  int64_t* relevant;

  int64_t num_bins() const { return 8 * int64_t{queries.num_bytes} + 1; }
};

// How retrieval_counts goes about its queries.
struct CountingPlan {
  AddToHistograms add_to_histograms;  // null: code by code
  int64_t group;                      // queries a task
};
CountingPlan plan_counting(const Kernels& isa, int num_bytes, int64_t num_queries, int num_threads);

// Both are false when out of memory.
bool count_by_code(const Kernels& isa, const LabelledQueries& queries, const CountingTask& task);
bool count_by_plane(const Kernels& isa, AddToHistograms add_to_histograms, const CountingTask& task);

}  // namespace hashkernels
