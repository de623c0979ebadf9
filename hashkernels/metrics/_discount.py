"""Prefix sums of the logarithmic discount 1 / log2(rank + 1), in twice the working precision."""

from __future__ import annotations

import numpy as np

from hashkernels._ops.sums import Floats, Ints, log2

_BLOCK = 1 << 16


class Discounts:
    """Sums of the discount over ranges of ranks.

    Found in blocks of ranks and kept only where a range begins or ends: memory is O(ranges + block), whatever the
    number of ranks. Each sum is kept as a pair of floats, so that the difference of two long sums keeps its accuracy.

    Args:
        ends: int64 of any shape, the ranks up to which sums will be asked for, at least 0.
    """

    def __init__(self, ends: Ints) -> None:
        self._ends = np.unique(np.append(ends, 0))
        self._high, self._low = (np.zeros(self._ends.size) for _ in range(2))
        high = low = 0.0
        for first in range(0, int(self._ends[-1]), _BLOCK):
            last = min(first + _BLOCK, int(self._ends[-1]))
            terms = 1.0 / log2(np.arange(first + 2, last + 2, dtype=np.float64))
            sums = np.cumsum(np.concatenate([[high], terms]))
            before, after = sums[:-1], sums[1:]
            virtual = after - before
            errors = np.cumsum(np.concatenate([[low], (before - (after - virtual)) + (terms - virtual)]))[1:]
            inside = slice(*np.searchsorted(self._ends, [first + 1, last + 1]))
            place = self._ends[inside] - first - 1
            self._high[inside], self._low[inside] = after[place], errors[place]
            high, low = float(after[-1]), float(errors[-1])

    def between(self, begin: Ints, end: Ints) -> Floats:
        """Sum over the ranks begin + 1 .. end, each of ``begin`` and ``end`` 0 or among ``ends``."""
        i, j = np.searchsorted(self._ends, begin), np.searchsorted(self._ends, end)
        difference: Floats = (self._high[j] - self._high[i]) + (self._low[j] - self._low[i])
        return difference
