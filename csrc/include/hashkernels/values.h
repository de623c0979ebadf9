// What is asked of all values of an array, by checks of arguments, and done to all of them.
#pragma once

#include <cstdint>
#include <utility>

namespace hashkernels {

// Whether none of `count` values is infinite or NaN.
bool all_finite(const float* values, int64_t count) noexcept;
bool all_finite(const double* values, int64_t count) noexcept;

// The least and the greatest of `count` values, at least one.
std::pair<int64_t, int64_t> least_and_greatest(const int64_t* values, int64_t count) noexcept;

// out[i] = factor * values[i].
void scale(const float* values, float factor, int64_t count, float* out) noexcept;
void scale(const double* values, double factor, int64_t count, double* out) noexcept;

}  // namespace hashkernels
