"""Whether anything relevant is among the first k."""

from __future__ import annotations

import numpy as np

from hashkernels._ops.sums import Floats
from hashkernels.metrics._ranking import Cut, Ranking, hits_at
from hashkernels.metrics.counts import RetrievalCounts
from hashkernels.metrics.query_metric import (
    QueryMetric,
    check_count_rule,
    check_counts,
    check_cutoff,
    query_metric,
)
from hashkernels.metrics.report import CountTies

# A probability below this leaves 1 - p at 1.
_NEGLIGIBLE = 2.0**-60


def hit_rate(counts: RetrievalCounts, k: int, *, ties: CountTies = "expected") -> QueryMetric:
    """Share of queries with a relevant item among their first k (called recall@k in metric learning).

    Args:
        counts: from ``retrieval_counts``.
        k: cutoff in 1..N.
        ties: "expected", the probability of a hit when all orders of ties are equally likely; "optimistic";
            "pessimistic".

    Returns:
        QueryMetric; a query with nothing relevant has 0.

    Raises:
        ValueError: k or ties out of range. TypeError: counts of another type.

    Example:
        >>> import numpy as np
        >>> from hashkernels.metrics import RetrievalCounts, hit_rate
        >>> hit_rate(RetrievalCounts(np.array([[4, 1]]), np.array([[1, 0]])), 3).mean
        0.75
    """
    counts, rule = check_counts(counts), check_count_rule(ties)
    k = check_cutoff(k, counts)

    def of_block(ranking: Ranking) -> Floats:
        cut = ranking.cut(k)
        if rule == "expected":
            return 1.0 - _probability_of_no_hit(cut)
        found: Floats = (hits_at(cut).under(rule) > 0).astype(np.float64)
        return found

    return query_metric(counts, of_block)


def _probability_of_no_hit(cut: Cut) -> Floats:
    """C(n - p, k) / C(n, k) for the tie that is cut, one factor a step of whichever is shorter, k or p."""
    steps = np.minimum(cut.slots, cut.positives)
    others = np.maximum(cut.slots, cut.positives)
    probability: Floats = (cut.positives_before == 0).astype(np.float64)
    for step in range(int(steps.max())):
        rest = cut.size - step
        factor = np.maximum(rest - others, 0) / np.maximum(rest, 1)
        probability = np.where(step < steps, probability * factor, probability)
        if not (probability[step + 1 < steps] > _NEGLIGIBLE).any():
            break
    return probability
