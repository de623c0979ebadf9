// Searches of a database of a block at most, code by code: every distance of a query is measured, and the near ones are
// sorted. What prepares blocks for many queries, or selects among many codes, would take longer.
#pragma once

#include <cstdint>

#include "database.hpp"

namespace hashkernels {

// Whether a search by so many queries and threads goes that way.
bool is_of_few(const Database& database, int64_t num_queries, int num_threads);

// As those of a Database.
Status topk_of_few(const Codes& queries, const Database& database, int64_t k, int32_t* distances, int64_t* indices,
                   int num_threads) noexcept;
Status range_search_of_few(const Codes& queries, const Database& database, int radius, int64_t max_results,
                           RangeFinds* finds, int num_threads) noexcept;
Status range_count_of_few(const Codes& queries, const Database& database, int radius, int64_t* counts,
                          int num_threads) noexcept;

}  // namespace hashkernels
