// Discrete cyclic coordinate descent: the code update of Deep Supervised Discrete Hashing.
//
// Every item has a code b of -1/+1 and its own row of `pull`, and its bits in turn lower b' G b - 2 pull . b with all
// else fixed: bit l becomes the sign of pull[l] - sum over j != l of b[j] * G[j][l], and stays where that is 0 or NaN.
//
// The rounding is part of the contract, so that codes are the same on every instruction set, thread count and machine:
// the field of an item begins as pull - b[0] * G[0] - b[1] * G[1] - ..., in this order; bit l turns where the sign of
// field[l] + b[l] * G[l][l] is not its own; and a turn adds (b[l] * 2) * G[l] to the field, with b[l] from before it.
#pragma once

#include <cstdint>

#include "hashkernels/status.h"

namespace hashkernels {

// Goes `sweeps` times over all bits of num_items codes, in place. `pull` is [num_items, bits], `gram` the symmetric
// [bits, bits] matrix G, `codes` [num_items, bits] of -1/+1; all contiguous, bits in 1..kMaxBits.
template <class T>
Status discrete_descent(const T* pull, const T* gram, int64_t num_items, int bits, int sweeps, int8_t* codes,
                        int num_threads) noexcept;

extern template Status discrete_descent(const float*, const float*, int64_t, int, int, int8_t*, int) noexcept;
extern template Status discrete_descent(const double*, const double*, int64_t, int, int, int8_t*, int) noexcept;

}  // namespace hashkernels
