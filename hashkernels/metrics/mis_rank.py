"""How many irrelevant items stand before a relevant one, and the average precision that this guarantees."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hashkernels._ops.sums import Floats, Ints, run_of_positives
from hashkernels.metrics._assemble import blocks
from hashkernels.metrics._average_precision import CutSums, average_precision
from hashkernels.metrics._ranking import Ranking
from hashkernels.metrics.counts import RetrievalCounts
from hashkernels.metrics.query_metric import check_count_rule, check_counts
from hashkernels.metrics.report import CountTies


class MisRanks(NamedTuple):
    """Mis-ranks of each query, float64 [Q] each; all 0 where nothing is relevant.

    mean: over the relevant items of the query.
    maximum: of the last relevant item.
    average_precision_bound: average precision of the whole ranking is at least this.
    """

    mean: npt.NDArray[np.float64]
    maximum: npt.NDArray[np.float64]
    average_precision_bound: npt.NDArray[np.float64]


def mis_ranks(counts: RetrievalCounts, *, ties: CountTies = "expected") -> MisRanks:
    """Mis-ranks: the number of irrelevant items ranked before a relevant one.

    The j-th relevant item with mis-rank m stands at rank j + m, so average precision is the mean of j / (j + m_j)
    over the R relevant items, and at least the mean of j / (j + m), m the greatest of them (the lower bound that
    hashing papers call the max mis-rank bound).

    Args:
        counts: from ``retrieval_counts``.
        ties: "expected", mean over all orders of ties; "optimistic" and "pessimistic", least and greatest mis-rank. The
            bound is on the value of average precision under the same rule; that of "pessimistic" holds in every
            order. A mean of the maximum that is not whole is rounded up for the bound, which as a function of m is
            convex.

    Returns:
        MisRanks.

    Raises:
        ValueError: ties out of range. TypeError: counts of another type.

    Example:
        >>> import numpy as np
        >>> from hashkernels.metrics import RetrievalCounts, mis_ranks
        >>> found = mis_ranks(RetrievalCounts(np.array([[1, 1, 1]]), np.array([[1, 0, 1]])))
        >>> found.mean.tolist(), found.maximum.tolist(), found.average_precision_bound.round(6).tolist()
        ([0.5], [1.0], [0.583333])
    """
    counts, rule = check_counts(counts), check_count_rule(ties)
    parts = [_of_block(ranking, rule) for _, ranking in blocks(counts)]
    return MisRanks(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _of_block(ranking: Ranking, rule: str) -> MisRanks:
    irrelevant = ranking.size - ranking.positives
    before = irrelevant.cumsum(axis=0) - irrelevant
    # twice the mis-rank of the items of a tie, so that sums stay whole; of billions an int64 does not hold them
    twice = 2 * before + {"expected": 1, "optimistic": 0, "pessimistic": 2}[rule] * irrelevant
    relevant = np.maximum(ranking.relevant, 1)
    mean = (twice.astype(np.float64) * ranking.positives).sum(axis=0) / (2 * relevant)
    maximum = _maximum(ranking, before, irrelevant, rule)
    total = run_of_positives(np.zeros_like(relevant), np.ceil(maximum).astype(np.int64), ranking.relevant)
    # none is above the value, but for its own rounding
    return MisRanks(mean, maximum, np.minimum(total / relevant, _average_precision(ranking, rule)))


def _average_precision(ranking: Ranking, rule: str) -> Floats:
    """Of the whole ranking, as an evaluation finds it."""
    length = int(ranking.ends[-1].max())
    (whole,) = CutSums.of(ranking.size.T, ranking.positives.T, [length], None)
    return average_precision(whole, length, "hits").under(rule)


def _maximum(ranking: Ranking, before: Ints, irrelevant: Ints, rule: str) -> Floats:
    """Irrelevant ones before the last relevant one: on average f p / (p + 1) of the f in a tie with p relevant ones."""
    last = ranking.size.shape[0] - 1 - (ranking.positives[::-1] > 0).argmax(axis=0)
    columns = np.arange(last.size)
    p, f, earlier = ranking.positives[last, columns], irrelevant[last, columns], before[last, columns]
    places = {"expected": p, "optimistic": 0, "pessimistic": p + 1}[rule]
    maximum: Floats = np.where(ranking.relevant > 0, earlier + f.astype(np.float64) * places / (p + 1), 0.0)
    return maximum
