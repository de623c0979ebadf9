// Which of three ways a search takes, by what each is expected to cost.
#pragma once

#include <cstdint>

namespace hashkernels {

// How a tile of queries is scanned.
//   rows:   distance by distance, from the codes where they lie, or of few codes (few_codes.hpp) from a copy.
//   planes: bit-sliced, one query at a time; for planes that are already there.
//   tables: bit-sliced, all queries on one carry table a block.
enum class ScanMethod { kRows, kPlanes, kTables };
const char* scan_method_name(ScanMethod method);

// What an instruction set's kernels take, in nanoseconds: measured on Zen 3 for "scalar" and "avx2", on Zen 4 for those
// of AVX-512, estimated for "neon". HashWork's are compared with them.
struct ScanCosts {
  double row, row_word;  // rows: a code and a query, and each word of the code on top
  double row_in_place;   // the same for codes of one word, which form blocks as they are
  double plane_byte;     // planes: a block and a query, for each byte of a code
  double query_byte;     // planes and tables: to set up a query
  double slice_word;     // tables: to turn the words of a block into planes or back, for each word of a code
  double table_byte;     //   the table of a block
  double sum_byte;       //   a block and a query
};

// What one task of a search has to do.
struct ScanSize {
  bool sliced;  // whether the planes are there
  int num_bytes;
  int64_t num_queries, num_codes;
  bool is_few;  // the task has all codes, and they are few enough to be compared one by one (few_codes.hpp)
};

// The cheapest way, and what it takes.
struct ScanPlan {
  ScanMethod method;
  double nanoseconds;
};
ScanPlan plan_scan(const ScanCosts& costs, const ScanSize& size);

}  // namespace hashkernels
