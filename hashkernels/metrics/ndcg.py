"""Normalised discounted cumulative gain under ties."""

from __future__ import annotations

import numpy as np

from hashkernels._ops.sums import Floats, Ints
from hashkernels.metrics._assemble import blocks
from hashkernels.metrics._discount import Discounts
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


def ndcg(counts: RetrievalCounts, k: int | None = None, *, ties: CountTies = "expected") -> QueryMetric:
    """Discounted cumulative gain at k over that of the best ranking, gain 1 for a relevant item, discount log2(rank +
    1).

    Within a tie every place is as likely to hold a relevant item, so the mean over all orders is the sum over the
    ties of (p / n) times the discounts of its places (McSherry and Najork 2008).

    Args:
        counts: from ``retrieval_counts``.
        k: cutoff in 1..N; default N.
        ties: "expected", the mean over all orders of ties; "optimistic"; "pessimistic".

    Returns:
        QueryMetric; a query with nothing relevant has 0. Time grows with the greatest rank, memory does not.

    Raises:
        ValueError: k or ties out of range. TypeError: counts of another type.

    Example:
        >>> import numpy as np
        >>> from hashkernels.metrics import RetrievalCounts, ndcg
        >>> round(ndcg(RetrievalCounts(np.array([[1, 2]]), np.array([[1, 1]]))).mean, 6)
        0.95986
    """
    counts, rule = check_counts(counts), check_count_rule(ties)
    k = counts.num_database if k is None else check_cutoff(k, counts)

    needed = []
    for _, ranking in blocks(counts):
        begin, end, _ = _places(ranking, rule, k)
        needed.append(np.unique(np.concatenate([begin.ravel(), end.ravel(), np.minimum(ranking.relevant, k)])))
    discounts = Discounts(np.concatenate(needed))

    def of_block(ranking: Ranking) -> Floats:
        begin, end, weight = _places(ranking, rule, k)
        ideal = np.minimum(ranking.relevant, k)
        gains = np.cumsum(weight * discounts.between(begin, end), axis=0)[-1]
        best = discounts.between(np.zeros_like(ideal), ideal)
        # none is above 1, but for its own rounding, and one whose first ranks are all relevant is 1
        share = np.minimum(gains / np.where(ideal > 0, best, 1.0), 1.0)
        is_ideal = hits_at(ranking.cut(ideal)).under(rule) == ideal
        score: Floats = np.where(is_ideal, ideal > 0, share)
        return score

    return query_metric(counts, of_block)


def _places(ranking: Ranking, rule: str, k: int) -> tuple[Ints, Ints, Floats]:
    """The ranks begin + 1 .. end within k that relevant items of each tie may hold, and how likely each is held."""
    start = ranking.ends - ranking.size
    if rule == "optimistic":
        begin, end = start, start + ranking.positives
    elif rule == "pessimistic":
        begin, end = ranking.ends - ranking.positives, ranking.ends
    else:
        begin, end = start, ranking.ends
    weight = ranking.positives / np.maximum(ranking.size, 1) if rule == "expected" else np.ones(begin.shape)
    return np.minimum(begin, k), np.minimum(end, k), weight
