"""Least average precision of a ranking, given the ranks of its first false and last true positive or its mis-ranks."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from hashkernels._ops.sums import Floats, Ints, run_of_positives
from hashkernels._validation import check_choice
from hashkernels.metrics.counts import RetrievalCounts
from hashkernels.metrics.query_metric import check_counts

# Sums of harmonic numbers take ranks below 2^51.
_MOST = 1 << 50


class RankExtremes(NamedTuple):
    """Ranks (from 1) of each query, int64 [Q] each.

    first_false_positive: N + 1 where every item is relevant. last_true_positive: 0 where none is.
    """

    first_false_positive: npt.NDArray[np.int64]
    last_true_positive: npt.NDArray[np.int64]


def average_precision_bound(max_mis_rank: npt.ArrayLike, num_relevant: npt.ArrayLike) -> Floats:
    """Average precision of a whole ranking is at least this, whatever the mis-ranks below the greatest.

    Args:
        max_mis_rank: how many irrelevant items stand before the last relevant one: integers in 0..2^50.
        num_relevant: R, integers in 1..2^50.

    Returns:
        float64 of the shape that both broadcast to: (1/R) sum_{j=1..R} j / (j + m), attained when all m irrelevant
        items come first.

    Example:
        >>> average_precision_bound(1, 2).round(6)     # irrelevant, relevant, relevant: (1/2 + 2/3) / 2
        np.float64(0.583333)
    """
    mis_rank, relevant = _integers(max_mis_rank=(max_mis_rank, 0, _MOST), num_relevant=(num_relevant, 1, _MOST))
    none_before = np.zeros(relevant.size, dtype=np.int64)
    total = run_of_positives(none_before, mis_rank.ravel(), relevant.ravel())
    # none is above 1, but for its own rounding
    bound: Floats = np.minimum(total / relevant.ravel(), 1.0).reshape(relevant.shape)[()]
    return bound


def lowest_average_precision(
    first_false_positive: npt.ArrayLike, last_true_positive: npt.ArrayLike, num_relevant: npt.ArrayLike
) -> Floats:
    """The least average precision of a whole ranking, given the ranks of its first false and its last true positive.

    With R relevant items, f and t these ranks (from 1), it is::

        (1/R) [ (f - 1) + sum_{i=f..R} i / (t - R + i) ]

    which is attained: t - R false positives stand from rank f on, then the rest of the relevant items. The form printed
    in LBHash (appendix B.1.1) lacks the 1/R and counts the items before rank f twice.

    Args:
        first_false_positive: f, integers, at least 1. Beyond R means R + 1: no false positive before the last true one.
        last_true_positive: t, integers in R..2^50.
        num_relevant: R, integers in 1..2^50.

    Returns:
        float64 of the shape that all broadcast to.

    Raises:
        ValueError: ranks that no ranking has: t < R, or t = R with f <= R, or t > R with f > R.

    Example:
        >>> lowest_average_precision(2, 7, 4).round(6)
        np.float64(0.617857)
    """
    first, last, relevant = _integers(
        first_false_positive=(first_false_positive, 1, np.iinfo(np.int64).max),
        last_true_positive=(last_true_positive, 1, _MOST),
        num_relevant=(num_relevant, 1, _MOST),
    )
    if (last < relevant).any():
        raise ValueError("last_true_positive must be at least num_relevant")
    if ((last == relevant) != (first > relevant)).any():
        raise ValueError("first_false_positive must be beyond num_relevant exactly where last_true_positive equals it")
    first = np.minimum(first, relevant + 1)
    ahead = (first - 1).ravel()
    total = ahead + run_of_positives(ahead, (last - relevant).ravel() + ahead, relevant.ravel() - ahead)
    lowest: Floats = np.minimum(total / relevant.ravel(), 1.0).reshape(relevant.shape)[()]
    return lowest


def rank_extremes(
    counts: RetrievalCounts, *, ties: Literal["optimistic", "pessimistic"] = "pessimistic"
) -> RankExtremes:
    """Ranks of the first false and the last true positive of each query.

    Args:
        counts: from ``retrieval_counts``.
        ties: "pessimistic" puts irrelevant items first among equal distances, so that what follows from the ranks holds
            in every order; "optimistic" puts them last.

    Raises:
        ValueError: ties out of range. TypeError: counts of another type.

    Example:
        >>> import numpy as np
        >>> from hashkernels.metrics import RetrievalCounts
        >>> rank_extremes(RetrievalCounts(np.array([[2, 3]]), np.array([[2, 1]])))
        RankExtremes(first_false_positive=array([3]), last_true_positive=array([5]))
    """
    counts = check_counts(counts)
    pessimistic = check_choice("ties", ties, ("optimistic", "pessimistic")) == "pessimistic"
    rows = np.arange(counts.num_queries)
    irrelevant = counts.total - counts.relevant
    until = counts.total.cumsum(axis=1)

    at_first = (irrelevant > 0).argmax(axis=1)
    relevant_until = counts.relevant.cumsum(axis=1)[rows, at_first]
    first = 1 + relevant_until - (counts.relevant[rows, at_first] if pessimistic else 0)
    first = np.where(irrelevant.any(axis=1), first, counts.num_database + 1)

    at_last = counts.bits - (counts.relevant[:, ::-1] > 0).argmax(axis=1)
    last = until[rows, at_last] - (0 if pessimistic else irrelevant[rows, at_last])
    last = np.where(counts.relevant.any(axis=1), last, 0)
    return RankExtremes(first, last)


def _integers(**values: tuple[npt.ArrayLike, int, int]) -> list[Ints]:
    """Named integer arrays, each with its least and its greatest value, broadcast to one shape."""
    arrays = []
    for name, (value, low, most) in values.items():
        array = np.asarray(value)
        if array.dtype.kind not in "iu":
            raise TypeError(f"{name} must be integers, got {array.dtype}")
        if array.size and (array.min() < low or array.max() > most):
            wrong = array.min() if array.min() < low else array.max()
            raise ValueError(f"{name} must be in {low}..{most}, got {wrong}")
        arrays.append(array.astype(np.int64))
    return [np.ascontiguousarray(array).reshape(array.shape) for array in np.broadcast_arrays(*arrays)]
