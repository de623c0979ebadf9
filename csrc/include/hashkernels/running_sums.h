// Running sums down the rows of a matrix.
#pragma once

#include <cstdint>

namespace hashkernels {

// out[r, c] = values[0, c] + ... + values[r, c]; both contiguous.
void running_sums(const int64_t* values, int64_t rows, int64_t columns, int64_t* out) noexcept;

// The same as if added with twice the precision and rounded once: the error of each addition is found exactly (Knuth's
// TwoSum), and the errors are added up beside it.
void compensated_sums(const double* values, int64_t rows, int64_t columns, double* out) noexcept;

}  // namespace hashkernels
