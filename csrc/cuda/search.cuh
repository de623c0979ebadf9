// Top-k by one counting sort, at any k and width (search.cu).
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "hashkernels/codes.h"

namespace hashkernels::cuda {

int64_t counting_sort_workspace(int64_t num_queries, int64_t num_database, int num_bytes) noexcept;

// Of the queries that `wanted` marks, unless it is null; behind the marks it says how many there are.
cudaError_t counting_sort(const Codes& queries, const Codes& database, int64_t k, const uint8_t* allowed,
                          const uint32_t* wanted, int32_t* distances, int64_t* indices, int64_t* workspace,
                          void* stream) noexcept;

}  // namespace hashkernels::cuda
