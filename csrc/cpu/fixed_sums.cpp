#include "hashkernels/fixed_sums.h"

#include <cmath>

namespace hashkernels {

void fixed_sums(const double* values, int64_t rows, int64_t columns, int64_t* high, int64_t* low) noexcept {
  constexpr int kLowBits = 30;
  for (int64_t row = 0; row < rows; ++row, values += columns) {
    int64_t high_sum = 0, low_sum = 0;
    for (int64_t c = 0; c < columns; ++c) {
      const int64_t units = std::llrint(values[c] * 0x1p60);
      high_sum += units >> kLowBits;
      low_sum += units & ((int64_t{1} << kLowBits) - 1);
    }
    high[row] = high_sum;
    low[row] = low_sum;
  }
}

}  // namespace hashkernels
