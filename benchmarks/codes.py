"""Inputs that the cases share."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def random_codes(num_codes: int, bits: int, seed: int) -> npt.NDArray[np.uint8]:
    """Uniform packed codes [num_codes, ceil(bits / 8)] with zero pad bits."""
    codes = np.random.default_rng(seed).integers(0, 256, (num_codes, (bits + 7) // 8), dtype=np.uint8)
    codes[:, -1] &= 0xFF << (codes.shape[1] * 8 - bits) & 0xFF
    return codes


def bit_counts(queries: npt.NDArray[np.uint8], database: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
    """The distance matrix by NumPy, a query at a time."""
    rows = [np.bitwise_count(query ^ database).sum(axis=1, dtype=np.int32) for query in queries]
    return np.stack(rows)
