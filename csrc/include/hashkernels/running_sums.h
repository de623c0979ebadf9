// Running sums down the rows of a matrix.
#pragma once

#include <cstdint>

namespace hashkernels {

// out[r, c] = values[0, c] + ... + values[r, c]; both contiguous.
void running_sums(const int64_t* values, int64_t rows, int64_t columns, int64_t* out) noexcept;

}  // namespace hashkernels
