#include "scan_method.hpp"

#include <algorithm>

#include "blocks.hpp"
#include "sliced_kernels.hpp"

namespace hashkernels {

const char* scan_method_name(ScanMethod method) {
  constexpr const char* kNames[] = {"rows", "planes", "sums"};
  return kNames[static_cast<int>(method)];
}

// Rows are compared code by code; the bit-sliced ways pay for whole blocks and for every query's part in them. Tables
// have to be made for every block before a sum saves anything, and the first block is summed once more. To measure hits
// they need words of each block: where planes are there, of as many as are likely to hold some hits of every query.
ScanPlan plan_scan(const ScanCosts& costs, const ScanSize& size) {
  constexpr double kBeyondCache = 1.4;  // what planes and tables take that the innermost cache cannot hold
  const auto queries = static_cast<double>(std::max<int64_t>(size.num_queries, 1));
  const auto codes = static_cast<double>(size.num_codes);
  const auto blocks = static_cast<double>(num_blocks(size.num_codes));
  const double words = words_per_code(size.num_bytes), bytes = size.num_bytes;
  const double row = size.num_bytes == 8 ? costs.row_in_place : costs.row + words * costs.row_word;
  const double singly = queries * (size.sliced ? bytes * (costs.query_byte + blocks * costs.plane_byte) : codes * row);
  const double made =
      blocks * bytes * costs.table_byte + (size.sliced ? std::min(blocks, queries) : blocks) * words * costs.slice_word;
  const double tables =
      queries * bytes * costs.query_byte + (made + queries * (blocks + 1) * bytes * costs.sum_byte) *
                                               (size.num_bytes > SlicedShape::kMaxChunkBytes ? kBeyondCache : 1);
  const ScanPlan plan = tables < singly ? ScanPlan{ScanMethod::kTables, tables}
                                        : ScanPlan{size.sliced ? ScanMethod::kPlanes : ScanMethod::kRows, singly};
  if (!size.is_few) return plan;
  // Few codes need neither the room for blocks (a search) nor the selection among many (a query).
  constexpr double kBlocks = 1500, kSelect = 200;
  constexpr double kFewQuery = 30, kFewCode = 0.2, kFewCopied = 3;  // a query, a code of it, a code out of planes
  const double few = queries * (kFewQuery + codes * (costs.row + words * costs.row_word + kFewCode)) +
                     (size.sliced ? words * costs.slice_word + codes * kFewCopied : 0);
  const double many = plan.nanoseconds + kBlocks + queries * kSelect;
  return few < many || plan.method == ScanMethod::kRows ? ScanPlan{ScanMethod::kRows, few} : plan;
}

}  // namespace hashkernels
