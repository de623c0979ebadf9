"""Harmonic sums, logarithms and running sums that come out the same on every machine.

Only ``+ - * /`` and exact exponent shifts are used, never the mathematical library of the system, whose last bit
differs from one machine to the next. Cost and memory do not depend on how large the ranks are.

With x = a + 1/2 and y = a + k + 1/2, the digamma expansion at half-integers gives

    H(a + k) - H(a) = log(y / x) + c(y) - c(x),
    c(x) = 1/(24 x^2) - 7/(960 x^4) + 31/(8064 x^6) - 127/(30720 x^8) + ...

and log(y / x) = 2 atanh((y - x) / (y + x)), whose argument is a quotient of two integers: the difference is found
directly, so it keeps its relative accuracy where two prefix sums of a million terms would cancel.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Number = TypeVar("Number", np.int64, np.float64)

# Below this rank sums come from a table of exact rationals; above it the first term left out, 511/(67584 x^10), is
# under 1e-20.
TABLE_SIZE = 64
_LN2 = 0.6931471805599453
_SQRT_HALF = 0.7071067811865476
_WIDE = 0.17157287525381  # (sqrt(2) - 1) / (sqrt(2) + 1)
# z^0 .. z^9 of (atanh(t) - t) / t^3 with z = t^2 <= 0.0295; the next term is under 2^-57 of atanh(t)
_ATANH = tuple(1.0 / (2 * j + 3) for j in range(10))
_HALF_INTEGER = (1.0 / 24.0, -7.0 / 960.0, 31.0 / 8064.0, -127.0 / 30720.0)
# Weights are relative to the likeliest number of hits. From there they fall at least geometrically: what is left out is
# under 1e-17.
_NEGLIGIBLE = 2.0**-64


def _tables() -> tuple[Floats, Floats]:
    """[a, k] -> sum of 1/(a+t) and of (t-1)/(a+t) for t = 1..k, a + k <= 64, each correctly rounded."""
    reciprocal = np.zeros((TABLE_SIZE + 1, TABLE_SIZE + 1))
    ramp = np.zeros((TABLE_SIZE + 1, TABLE_SIZE + 1))
    for a in range(TABLE_SIZE):
        first, second = Fraction(0), Fraction(0)
        for t in range(1, TABLE_SIZE - a + 1):
            first += Fraction(1, a + t)
            second += Fraction(t - 1, a + t)
            reciprocal[a, t], ramp[a, t] = float(first), float(second)
    return reciprocal, ramp


RECIPROCAL_TABLE, RAMP_TABLE = _tables()


def _atanh_tail(t: Floats) -> Floats:
    """2 (atanh(t) - t) for abs(t) <= 0.172."""
    z = t * t
    total = np.full_like(z, _ATANH[-1])
    for coefficient in reversed(_ATANH[:-1]):
        total *= z
        total += coefficient
    total *= z
    total *= 2.0 * t
    return total


def _log_parts(x: Floats, y: Floats) -> tuple[Floats, Floats, Floats]:
    """(m, t, tail) with log(y / x) = m ln 2 + 2 t + tail and abs(t) < 0.172, for positive x and y."""
    t = (y - x) / (y + x)
    shift = np.zeros_like(t)
    wide = np.flatnonzero(np.abs(t) > _WIDE)
    if wide.size:
        mantissa, exponent = np.frexp(y[wide] / x[wide])
        exponent -= mantissa < _SQRT_HALF
        scaled = np.ldexp(x[wide], exponent)
        t[wide] = (y[wide] - scaled) / (y[wide] + scaled)
        shift[wide] = exponent
    return shift, t, _atanh_tail(t)


def log2(values: Floats) -> Floats:
    """Base-2 logarithm of positive floats, to a few units in the last place."""
    shift, t, tail = _log_parts(np.ones_like(values), values)
    return shift + (2.0 * t + tail) * (1.0 / _LN2)


def _half_integer_correction(x: Floats) -> Floats:
    w = 1.0 / (x * x)
    total = np.full_like(w, _HALF_INTEGER[-1])
    for coefficient in reversed(_HALF_INTEGER[:-1]):
        total *= w
        total += coefficient
    total *= w
    return total


def harmonic_sums(start: Ints, count: Ints) -> tuple[Floats, Floats]:
    """Sum of 1/(start + t), and of (t - 1)/(start + t), over t = 1..count, for int64 [M] each."""
    head = np.flatnonzero(start < TABLE_SIZE)
    if head.size == 0:
        return _asymptotic_sums(start, count)
    near = start[head]
    taken = np.minimum(count[head], TABLE_SIZE - near)
    far_start, far_count = start.copy(), count.copy()
    far_start[head] += taken
    far_count[head] -= taken
    reciprocal, ramp = _asymptotic_sums(far_start, far_count)
    ramp[head] += taken * reciprocal[head]
    ramp[head] += RAMP_TABLE[near, taken]
    reciprocal[head] += RECIPROCAL_TABLE[near, taken]
    return reciprocal, ramp


def _asymptotic_sums(start: Ints, count: Ints) -> tuple[Floats, Floats]:
    """``harmonic_sums`` where each start is at least 64 or its count is 0."""
    a, k = start.astype(np.float64), count.astype(np.float64)
    x = a + 0.5
    y = x + k
    shift, t, tail = _log_parts(x, y)
    tail += _half_integer_correction(y) - _half_integer_correction(x)
    reciprocal = 2.0 * t + tail
    # k - 2 (a + 1) t = t (k - 1) exactly where nothing was shifted out, so the ramp needs no difference of large
    # numbers
    ramp = t * (k - 1.0) - (a + 1.0) * tail
    shifted = np.flatnonzero(shift)
    if shifted.size:
        reciprocal[shifted] += shift[shifted] * _LN2
        ramp[shifted] = k[shifted] - (a[shifted] + 1.0) * reciprocal[shifted]
    ramp[count <= 1] = 0.0
    return reciprocal, ramp


def tie_precision_sums(size: Ints, positives: Ints) -> tuple[Floats, Floats, Floats]:
    """Precision summed over the relevant ranks of the first j ties: its mean, least and greatest over all orders of the
    ties, float64 [B + 1, Q] each, for j = 0..B."""
    occupied = np.flatnonzero(positives)
    tables = size, positives, running_sums(size), running_sums(positives)
    n, p, ends, positive_ends = (table.ravel()[occupied] for table in tables)
    before, following = ends - n, positive_ends - p + 1

    def cumulative(values: Floats) -> Floats:
        terms = np.zeros((len(size) + 1, size.shape[1]))
        terms.ravel()[occupied + size.shape[1]] = values
        return compensated_sums(terms)

    least, greatest = (
        precision_in_run(following, start, p, harmonic_sums(start, p)) for start in (before + n - p, before)
    )
    # every order of relevant items alone is the same
    mean = np.where(p == n, greatest, precision_in_tie(following, n, p, harmonic_sums(before, n)))
    return cumulative(mean), cumulative(least), cumulative(greatest)


def precision_in_tie(following: Ints, size: Ints, positives: Ints, sums: tuple[Floats, Floats]) -> Floats:
    """Mean, over the orders of a tie, of the precision summed over its relevant places among the first ones.

    ``sums`` are the harmonic sums over those places; ``following`` is 1 more than the relevant items before the tie.
    """
    reciprocal, ramp = sums
    repeat = np.maximum(positives - 1, 0) / np.maximum(size - 1, 1)
    return (positives / size) * (following * reciprocal + repeat * ramp)


def precision_in_run(following: Ints, start: Ints, count: Ints, sums: tuple[Floats, Floats]) -> Floats:
    """Precision summed over ``count`` relevant ranks in a row; ``sums`` are the harmonic sums over them.

    Each has precision 1 where the ``start`` items before are all relevant: their sum is then exact.
    """
    reciprocal, ramp = sums
    precisions: Floats = np.where(start < following, count, following * reciprocal + ramp)
    return precisions


def cut_precision_sums(total: Ints, relevant: Ints, cutoffs: Sequence[int]) -> tuple[Ints, Ints, Floats]:
    """Relevant items int64 [Q], cuts int64 [K, 5, Q] as of ``cut``, and float64 [K, 3, Q], the ``tie_precision_sums``
    over the ties that are whole within each cutoff, from counts [Q, B]."""
    tables = total.T, relevant.T, running_sums(total.T), running_sums(relevant.T)
    sums = np.stack(tie_precision_sums(*tables[:2]))
    places = [cut(*tables, np.asarray(k)) for k in cutoffs]
    columns = np.arange(len(total))
    whole = np.array([sums[:, tie, columns] for tie, _ in places])
    return tables[3][-1], np.array([place for _, place in places]), whole


def cut(size: Ints, positives: Ints, ends: Ints, positive_ends: Ints, ranks: Ints) -> tuple[Ints, Ints]:
    """Where a cutoff falls in each ranking, from counts and their running sums, [B, Q]; ``ranks`` int64 [Q] or one.

    Returns:
        int64 [Q], the first tie that is not whole within the cutoff; int64 [5, Q]: how many of its items are within,
        its size, its relevant items, and items and relevant items before it. Where no tie is cut, the first and the
        third are 0 and the size is 1. A cutoff beyond a ranking takes it whole.
    """
    columns = np.arange(size.shape[1])

    def row(table: Ints, tie: Ints) -> Ints:
        inside = (tie >= 0) & (tie < len(table))
        return np.where(inside, table[np.where(inside, tie, 0), columns], 0)

    ranks = np.minimum(ranks, ends[-1])
    tie = (ends <= ranks).sum(axis=0)
    before = row(ends, tie - 1)
    slots = ranks - before
    cut_size, cut_positives = (
        np.where(slots > 0, row(table, tie), other) for table, other in ((size, 1), (positives, 0))
    )
    return tie, np.stack([slots, cut_size, cut_positives, before, row(positive_ends, tie - 1)])


def likeliest_hits(size: Ints, positives: Ints, slots: Ints) -> Floats:
    """The mode of how many of ``positives`` relevant items among ``size`` are in ``slots`` places, float64 [M]; close
    to it where products exceed 2^53."""
    mode = np.floor((slots + 1.0) * (positives + 1.0) / (size + 2.0))
    likeliest: Floats = np.clip(mode, np.maximum(slots - (size - positives), 0), np.minimum(slots, positives))
    return likeliest


def hit_means(
    n: Floats,
    p: Floats,
    k: Floats,
    before: Floats,
    likeliest: Floats,
    linear: Floats,
    quadratic: Floats,
    earlier: Floats,
) -> Floats:
    """``hashkernels._ops.sums.hit_means``: the weights of h follow from each other by a ratio, outwards from the
    likeliest."""
    rest = n - p - k

    def values(h: Floats) -> Floats:
        precisions: Floats = (earlier + h * (linear + quadratic * (h - 1.0))) / np.maximum(before + h, 1.0)
        return precisions

    total, weights = values(likeliest), np.ones_like(likeliest)
    for step in (1.0, -1.0):
        h, weight = likeliest.copy(), np.ones_like(likeliest)
        while (weight > 0.0).any():
            if step > 0:
                weight *= ((p - h) * (k - h)) / ((h + 1.0) * (rest + h + 1.0))
            else:
                weight *= (h * (rest + h)) / ((p - h + 1.0) * (k - h + 1.0))
            weight[weight < _NEGLIGIBLE] = 0.0
            h += step
            total += weight * values(h)
            weights += weight
    mean: Floats = total / weights
    return mean


def share_sums(total: Ints, relevant: Ints, unanswerable: bool) -> tuple[Ints, Ints]:
    """``fixed_sums`` over the queries of precision and recall after each tie, [2, B], from counts [Q, B]."""
    chosen = relevant.any(axis=1) | unanswerable
    ends, hits = (running_sums(part[chosen].T) for part in (total, relevant))
    return fixed_sums(np.stack([hits / np.maximum(ends, 1), hits / np.maximum(hits[-1], 1)]))


def compensated_sums(values: Floats) -> Floats:
    """Running sums of float64 [B, Q] down axis 0, as if added with twice the precision and rounded once.

    Each row is added to the sum of those before; the error of each addition is found exactly (Knuth's TwoSum), and the
    errors are added up beside it.
    """
    sums = running_sums(values)
    before, after = sums[:-1], sums[1:]
    virtual = after - before
    errors = values[1:] - virtual
    np.subtract(after, virtual, out=virtual)
    errors += np.subtract(before, virtual, out=virtual)
    after += running_sums(errors)
    return sums


def running_sums(values: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """``values.cumsum(axis=0)``, a row at a time: several times as fast where rows are long."""
    sums = values.copy()
    for row in range(1, len(sums)):
        sums[row] += sums[row - 1]
    return sums


def fixed_sums(values: Floats) -> tuple[Ints, Ints]:
    """Sums over the last axis of values in 0..1, in units of 2^-60, as two halves: high * 2^30 + low."""
    units = np.rint(values * 2.0**60).astype(np.int64)
    return (units >> 30).sum(axis=-1), (units & ((1 << 30) - 1)).sum(axis=-1)
