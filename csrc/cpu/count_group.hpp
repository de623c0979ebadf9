// The histograms of a group of queries over a part of the database: the work of one task of retrieval_counts.
#pragma once

#include <cstdint>

#include "block_walks.hpp"
#include "counting_blocks.hpp"
#include "kernels.hpp"

namespace hashkernels {

// Queries first..last - 1. Counts are added to total and relevant, laid out as in retrieval_counts, from the first of
// these queries on. With relevant == nullptr all codes are counted alone, and no label is read.
struct CountingTask {
  const Codes& queries;
  const Codes& database;
  Labels query_labels, database_labels;
  int64_t first, last;
  int64_t* total;
  int64_t* relevant;

  int64_t num_bins() const { return 8 * int64_t{queries.num_bytes} + 1; }
};

// Whether these queries are counted on planes, with relevance.
bool counts_by_plane(const Kernels& isa, const Codes& queries);

// Whether these queries can be counted without relevance.
bool can_count_alone(const Kernels& isa, const Codes& queries);

// Adds all codes of the database to total; false when out of memory.
bool count_alone(const Kernels& isa, const Codes& queries, const Codes& database, int64_t* total);

// How many queries a task should have.
int64_t queries_per_task(const Kernels& isa, const Codes& queries, bool relevance, int num_threads);

// Counts the codes of the blocks of a walk. False when out of memory.
bool count_group(const Kernels& isa, const LabelledQueries& queries, const CountingTask& task, BlockWalk& walk);

}  // namespace hashkernels
