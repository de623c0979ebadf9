"""Precision at the rank where it could be perfect."""

from __future__ import annotations

import numpy as np

from hashkernels._ops.sums import Floats
from hashkernels.metrics._ranking import Ranking, hits_at
from hashkernels.metrics.counts import RetrievalCounts
from hashkernels.metrics.query_metric import QueryMetric, check_count_rule, check_counts, query_metric
from hashkernels.metrics.report import CountTies


def r_precision(counts: RetrievalCounts, *, ties: CountTies = "expected") -> QueryMetric:
    """Precision at rank R, R being the number of items relevant to the query: there precision and recall are equal.

    Args:
        counts: from ``retrieval_counts``.
        ties: "expected", the mean over all orders of ties; "optimistic"; "pessimistic".

    Returns:
        QueryMetric; a query with nothing relevant has 0.

    Raises:
        ValueError: ties out of range. TypeError: counts of another type.

    Example:
        >>> import numpy as np
        >>> from hashkernels.metrics import RetrievalCounts, r_precision
        >>> r_precision(RetrievalCounts(np.array([[1, 2, 1]]), np.array([[1, 1, 0]]))).mean
        0.75
    """
    counts, rule = check_counts(counts), check_count_rule(ties)

    def of_block(ranking: Ranking) -> Floats:
        hits = hits_at(ranking.cut(ranking.relevant)).under(rule)
        share: Floats = hits / np.maximum(ranking.relevant, 1)
        return share

    return query_metric(counts, of_block)
