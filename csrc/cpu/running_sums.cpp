#include "hashkernels/running_sums.h"

#include <algorithm>

namespace hashkernels {
namespace {

// Columns that go down the rows together: their sums stay in the first-level cache, and rows are read in whole lines.
constexpr int64_t kColumns = 256;

}  // namespace

void running_sums(const int64_t* values, int64_t rows, int64_t columns, int64_t* out) noexcept {
  for (int64_t first = 0; first < columns; first += kColumns) {
    const int64_t last = std::min(first + kColumns, columns);
    int64_t sums[kColumns] = {};
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t c = first; c < last; ++c) out[row * columns + c] = sums[c - first] += values[row * columns + c];
    }
  }
}

}  // namespace hashkernels
