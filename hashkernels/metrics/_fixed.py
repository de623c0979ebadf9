"""Means that no order of adding can change.

Each value in 0..1 is rounded to a multiple of 2^-60 and added as an integer; the sum is divided once, correctly
rounded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hashkernels._ops.sums import Ints, fixed_sums

_SCALE_BITS = 60
FIXED_ONE = 1 << _SCALE_BITS
"""What 1 is in the units of a ``fixed_sum``."""


def fixed_sum(values: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    """Sums of float64 [..., Q] in 0..1 over the last axis, as Python integers (object [...]) in units of 2^-60."""
    return whole_sum(*fixed_sums(values))


def whole_sum(high: Ints, low: Ints) -> npt.NDArray[Any]:
    """The Python integers whose halves these are."""
    return np.asarray(high.astype(object) * (1 << 30) + low.astype(object), dtype=object)


def fixed_mean(total: int, count: int) -> float:
    """The mean of ``count`` values from their ``fixed_sum``; 0 of none."""
    return int(total) / (count << _SCALE_BITS) if count else 0.0


def fixed_means(totals: npt.NDArray[Any], count: int) -> npt.NDArray[np.float64]:
    """``fixed_mean`` of each of several sums, object [B] -> float64 [B]."""
    return np.array([fixed_mean(total, count) for total in totals.tolist()], dtype=np.float64)
