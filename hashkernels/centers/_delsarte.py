"""Delsarte's linear programming bound on binary codes, certified in exact rationals."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from math import comb

import numpy as np

from hashkernels._validation import require

_GRID = 2**50


@cache
def linear_programming_size(bits: int, distance: int) -> int | None:
    """Upper bound on the number of words of ``bits`` bits that are an even ``distance`` or more apart.

    A polynomial ``f(i) = 1 + sum_k f_k K_k(i)`` in Krawtchouk polynomials with ``f_k >= 0`` and ``f(i) <= 0`` at every
    distance that occurs proves ``A(n, d) <= f(0)`` (MacWilliams and Sloane, chapter 17, theorem 20). Distances may be
    taken as even. HiGHS proposes the f_k in floating point; they are then rounded to rationals and the bound computed
    from these exactly, so that rounding may cost sharpness but never truth. None: the solver found nothing of use.
    """
    optimize = require("scipy.optimize", extra="centers")
    distances = range(distance, bits + 1, 2)
    degrees = range(1, bits // 2 + 1)  # K_{n-k}(i) = K_k(i) at even i
    rows = [_krawtchouk_row(bits, i) for i in distances]
    table = [[Fraction(row[k], comb(bits, k)) for k in degrees] for row in rows]
    solution = optimize.linprog(
        np.ones(len(degrees)),
        A_ub=np.array([[float(value) for value in row] for row in table]),
        b_ub=-np.ones(len(table)),
        bounds=(0, None),
        method="highs",
    )
    if solution.x is None:
        return None
    weights = [Fraction(max(0, round(float(x) * _GRID)), _GRID) for x in solution.x]
    greatest = max(1 + sum(w * value for w, value in zip(weights, row, strict=True)) for row in table)
    if greatest >= 1:
        return None
    return int(1 + sum(weights) / (1 - greatest))  # f - greatest is <= 0 at all distances


def _krawtchouk_row(bits: int, i: int) -> list[int]:
    """``K_0(i) .. K_n(i)``: the coefficients of ``(1 - z)^i (1 + z)^(n - i)``."""
    row = [comb(bits - i, k) for k in range(bits - i + 1)]
    for _ in range(i):
        row = [a - b for a, b in zip([*row, 0], [0, *row], strict=True)]
    return row
