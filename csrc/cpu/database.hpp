// What is searched, in either form, and the searches over it.
#pragma once

#include <cstdint>
#include <optional>

#include "hashkernels/index.h"
#include "hashkernels/search.h"
#include "scan_method.hpp"
#include "search_plan.hpp"

namespace hashkernels {

// Codes as the caller holds them, or the planes of an index (then codes has no data).
struct Database {
  Codes codes;
  const uint64_t* planes = nullptr;
  const uint8_t* allowed = nullptr;  // null, or one byte a code: nonzero where it may be found
  std::optional<ScanMethod> method;  // default: whichever is expected to be fastest

  explicit Database(const Codes& rows, const uint8_t* may_be_found = nullptr) : codes(rows), allowed(may_be_found) {}
  explicit Database(const SlicedCodes& sliced, const uint8_t* may_be_found = nullptr)
      : codes{nullptr, sliced.num_codes, 0, sliced.num_bytes}, planes(sliced.planes), allowed(may_be_found) {}

  // How a task of the plan searches it.
  ScanMethod scan_method(const ScanCosts& costs, const SearchPlan& plan) const {
    return method.value_or(plan_scan(costs, plan.scan_size(planes != nullptr, codes.num_bytes)).method);
  }
};

// As in search.h.
Status topk(const Codes& queries, const Database& database, int64_t k, int32_t* distances, int64_t* indices,
            int num_threads) noexcept;
Status range_search(const Codes& queries, const Database& database, int radius, int64_t max_results, RangeFinds* finds,
                    int num_threads) noexcept;
Status range_count(const Codes& queries, const Database& database, int radius, int64_t* counts,
                   int num_threads) noexcept;

}  // namespace hashkernels
