"""The harmonic mean of precision and recall."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hashkernels._ops.sums import Floats
from hashkernels.metrics._assemble import blocks
from hashkernels.metrics._fixed import fixed_means, fixed_sum
from hashkernels.metrics._ranking import Ranking, hits_at
from hashkernels.metrics.counts import RetrievalCounts
from hashkernels.metrics.query_metric import (
    QueryMetric,
    check_count_rule,
    check_counts,
    check_cutoff,
    query_metric,
)
from hashkernels.metrics.report import CountTies


def f_score(counts: RetrievalCounts, k: int, *, ties: CountTies = "expected") -> QueryMetric:
    """F-score at k: with h hits among k and R relevant items, 2 P R / (P + R) = 2 h / (k + R).

    It is linear in h, so its mean over all orders of ties is its value at the mean of h.

    Args:
        counts: from ``retrieval_counts``.
        k: cutoff in 1..N.
        ties: "expected", the mean over all orders of ties; "optimistic"; "pessimistic".

    Returns:
        QueryMetric; a query with nothing relevant has 0.

    Raises:
        ValueError: k or ties out of range. TypeError: counts of another type.

    Example:
        >>> import numpy as np
        >>> from hashkernels.metrics import RetrievalCounts, f_score
        >>> f_score(RetrievalCounts(np.array([[1, 2, 1]]), np.array([[1, 1, 0]])), 2).mean
        0.75
    """
    counts, rule = check_counts(counts), check_count_rule(ties)
    k = check_cutoff(k, counts)

    def of_block(ranking: Ranking) -> Floats:
        score: Floats = 2.0 * hits_at(ranking.cut(k)).under(rule) / (k + ranking.relevant)
        return score

    return query_metric(counts, of_block)


def f_score_within(counts: RetrievalCounts) -> npt.NDArray[np.float64]:
    """Mean F-score among the items within each Hamming radius, which no order of ties can change.

    Args:
        counts: from ``retrieval_counts``.

    Returns:
        float64 [bits + 1], one value for each radius 0..bits; an empty ball counts as 0.

    Raises:
        TypeError: counts of another type.

    Example:
        >>> import numpy as np
        >>> from hashkernels.metrics import RetrievalCounts, f_score_within
        >>> f_score_within(RetrievalCounts(np.array([[0, 2, 1]]), np.array([[0, 1, 0]]))).round(6).tolist()
        [0.0, 0.666667, 0.5]
    """
    counts = check_counts(counts)
    totals = sum(
        fixed_sum(2.0 * ranking.positive_ends / np.maximum(ranking.ends + ranking.relevant, 1))
        for _, ranking in blocks(counts)
    )
    return fixed_means(np.asarray(totals), counts.num_queries)
