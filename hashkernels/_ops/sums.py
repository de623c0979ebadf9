"""Sums and logarithms under the metrics, over NumPy arrays: the same bits on every machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from hashkernels import _loader
from hashkernels.reference import sums as reference

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def harmonic_sums(start: Ints, count: Ints) -> tuple[Floats, Floats]:
    """Sums over the ``count`` ranks that follow rank ``start``.

    Args:
        start: int64 [M], at least 0.
        count: int64 [M], at least 0; start + count below 2^51.

    Returns:
        float64 [M] twice: sum of 1/(start + t), and of (t - 1)/(start + t), over t = 1..count. Both keep a relative
        error of some 1e-14 at worst, whatever the ratio of count to start.
    """
    kernel = _loader.cpu_kernel("harmonic_sums")
    if kernel is None:
        return reference.harmonic_sums(start, count)
    start, count = (np.ascontiguousarray(part, dtype=np.int64) for part in np.broadcast_arrays(start, count))
    reciprocal, ramp = np.empty(start.shape), np.empty(start.shape)
    kernel(
        start.ctypes.data,
        count.ctypes.data,
        start.size,
        reference.RECIPROCAL_TABLE.ctypes.data,
        reference.RAMP_TABLE.ctypes.data,
        reference.TABLE_SIZE,
        reciprocal.ctypes.data,
        ramp.ctypes.data,
    )
    return reciprocal, ramp


def log2(values: Floats) -> Floats:
    """Base-2 logarithm of positive floats, to a few units in the last place."""
    kernel = _loader.cpu_kernel("log2")
    if kernel is None:
        return reference.log2(values)
    values = np.ascontiguousarray(values, dtype=np.float64)
    logarithms = np.empty(values.shape)
    kernel(values.ctypes.data, values.size, logarithms.ctypes.data)
    return logarithms


def running_sums(values: Ints) -> Ints:
    """``values.cumsum(axis=0)`` of int64 [B, Q]."""
    sums: Ints = _down("running_sums", reference.running_sums, values, np.int64)
    return sums


def compensated_sums(values: Floats) -> Floats:
    """Running sums of float64 [B, Q] down axis 0, as if added with twice the precision and rounded once."""
    sums: Floats = _down("compensated_sums", reference.compensated_sums, values, np.float64)
    return sums


def _down(name: str, fallback: Callable[[Any], Any], values: Any, dtype: npt.DTypeLike) -> Any:
    kernel = _loader.cpu_kernel(name)
    values = np.ascontiguousarray(values, dtype=dtype)
    if kernel is None:
        return fallback(values)
    sums = np.empty_like(values)
    kernel(values.ctypes.data, *values.shape, sums.ctypes.data)
    return sums
