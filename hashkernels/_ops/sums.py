"""Sums and logarithms under the metrics, over NumPy arrays: the same bits on every machine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hashkernels import _loader
from hashkernels._ops._library import thread_argument, thread_count
from hashkernels.reference import sums as reference

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_TABLE = (reference.RECIPROCAL_TABLE.ctypes.data, reference.RAMP_TABLE.ctypes.data, reference.TABLE_SIZE)


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
    kernel(start.ctypes.data, count.ctypes.data, start.size, *_TABLE, reciprocal.ctypes.data, ramp.ctypes.data)
    return reciprocal, ramp


def mean_in_tie(positives_before: Ints, before: Ints, size: Ints, positives: Ints, slots: Ints) -> Floats:
    """Mean, over the orders of one tie, of the precision summed over its relevant places among the first ``slots``."""
    return reference.precision_in_tie(positives_before + 1, size, positives, harmonic_sums(before, slots))


def run_of_positives(positives_before: Ints, before: Ints, count: Ints) -> Floats:
    """Precision summed over ``count`` relevant ranks in a row after ``before`` items, ``positives_before`` relevant."""
    return reference.precision_in_run(positives_before + 1, before, count, harmonic_sums(before, count))


def tie_precision_sums(size: Ints, positives: Ints, threads: int | None = None) -> tuple[Floats, Floats, Floats]:
    """Precision summed over the relevant ranks of the first j ties: mean, least and greatest over all orders of ties.

    Args:
        size: int64 [B, Q], the items of each tie, ties in rows and queries in columns.
        positives: int64 [B, Q], those of them that are relevant.

    Returns:
        float64 [B + 1, Q] three times, for j = 0..B, as if added with twice the precision and rounded once.
    """
    kernel = _loader.cpu_kernel("tie_precision_sums")
    if kernel is None:
        return reference.tie_precision_sums(size, positives)
    size, positives = (np.ascontiguousarray(part, dtype=np.int64) for part in (size, positives))
    rows, columns = size.shape
    mean, least, greatest = (np.empty((rows + 1, columns)) for _ in range(3))
    outputs = (mean.ctypes.data, least.ctypes.data, greatest.ctypes.data)
    kernel(size.ctypes.data, positives.ctypes.data, rows, columns, *_TABLE, *outputs, _num_threads(threads))
    return mean, least, greatest


def cut_precision_sums(
    total: Ints, relevant: Ints, cutoffs: Sequence[int], threads: int | None = None
) -> tuple[Ints, Ints, Floats]:
    """Where cutoffs fall, and precision summed over the relevant ranks of the ties that are whole within each.

    Args:
        total: int64 [Q, B], the items of each tie, queries in rows and ties in columns; at least one tie.
        relevant: int64 [Q, B], those of them that are relevant.
        cutoffs: K ranks, ascending, at least 0; a shorter ranking is taken whole.

    Returns:
        Relevant items int64 [Q]; int64 [K, 5, Q]: ``slots`` items of the tie that is cut are within the cutoff, its
        size and its relevant items, items and relevant items before it (where no tie is cut, 0 slots, of size 1 with 0
        relevant items); float64 [K, 3, Q], the mean, least and greatest sum over the ties before that one, as
        ``tie_precision_sums`` has them.
    """
    kernel = _loader.cpu_kernel("cut_precision_sums")
    if kernel is None:
        return reference.cut_precision_sums(total, relevant, cutoffs)
    total, relevant = (np.ascontiguousarray(part, dtype=np.int64) for part in (total, relevant))
    ks, queries = np.array(cutoffs, dtype=np.int64), len(total)
    hits, cuts = np.empty(queries, np.int64), np.empty((len(ks), 5, queries), np.int64)
    sums = np.empty((len(ks), 3, queries))
    outputs = (hits.ctypes.data, cuts.ctypes.data, sums.ctypes.data)
    ranks = (ks.ctypes.data, len(ks))
    kernel(total.ctypes.data, relevant.ctypes.data, *total.shape, *ranks, *_TABLE, *outputs, _num_threads(threads))
    return hits, cuts, sums


cut = reference.cut
"""The places of one cutoff from counts and their running sums; each query may have its own."""


def hit_means(
    size: Ints, positives: Ints, slots: Ints, positives_before: Ints, linear: Floats, quadratic: Floats, earlier: Floats
) -> Floats:
    """Mean of (earlier + h (linear + (h - 1) quadratic)) / max(positives_before + h, 1) over the hits h of ties.

    Args:
        size: int64 [M], the items of each tie, below 2^51.
        positives: int64 [M], those of them that are relevant.
        slots: int64 [M], how many of its places are within a cutoff, in 1..size.
        positives_before: int64 [M], relevant items before it.
        linear, quadratic, earlier: float64 [M].

    Returns:
        float64 [M]. Every choice of items for the places is as likely as another: h is hypergeometric.
    """
    likeliest = reference.likeliest_hits(size, positives, slots)
    tie = (size, positives, slots, positives_before, likeliest)
    numbers = np.stack((*tie, linear, quadratic, earlier), dtype=np.float64)
    kernel = _loader.cpu_kernel("hit_means")
    if kernel is None:
        return reference.hit_means(*numbers)
    means = np.empty(numbers.shape[1])
    kernel(numbers.ctypes.data, means.size, means.ctypes.data)
    return means


def share_sums(total: Ints, relevant: Ints, unanswerable: bool, threads: int | None = None) -> tuple[Ints, Ints]:
    """Sums over queries of precision (0 of no items) and recall (0 where nothing is relevant) after each tie.

    Args:
        total, relevant: int64 [Q, B], as in ``cut_precision_sums``.
        unanswerable: whether queries with nothing relevant count.

    Returns:
        int64 [2, B] twice, as ``fixed_sums`` has them.
    """
    kernel = _loader.cpu_kernel("share_sums")
    if kernel is None:
        return reference.share_sums(total, relevant, unanswerable)
    total, relevant = (np.ascontiguousarray(part, dtype=np.int64) for part in (total, relevant))
    high, low = np.empty((2, total.shape[1]), np.int64), np.empty((2, total.shape[1]), np.int64)
    inputs = (total.ctypes.data, relevant.ctypes.data, *total.shape, unanswerable)
    kernel(*inputs, high.ctypes.data, low.ctypes.data, _num_threads(threads))
    return high, low


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
    values = np.ascontiguousarray(values, dtype=np.int64)
    kernel = _loader.cpu_kernel("running_sums")
    if kernel is None:
        return reference.running_sums(values)
    sums = np.empty_like(values)
    kernel(values.ctypes.data, *values.shape, sums.ctypes.data)
    return sums


def fixed_sums(values: Floats) -> tuple[Ints, Ints]:
    """Sums of float64 [..., Q] in 0..1 over the last axis, at most 2^33 terms, in units of 2^-60.

    Returns:
        int64 [...] twice, (high, low), for high * 2^30 + low.
    """
    values = np.ascontiguousarray(values, dtype=np.float64)
    kernel = _loader.cpu_kernel("fixed_sums")
    if kernel is None:
        return reference.fixed_sums(values)
    shape, columns = values.shape[:-1], values.shape[-1]
    high, low = np.empty(shape, np.int64), np.empty(shape, np.int64)
    kernel(values.ctypes.data, high.size, columns, high.ctypes.data, low.ctypes.data)
    return high, low


def _num_threads(threads: int | None) -> int:
    return thread_count(thread_argument(threads))
