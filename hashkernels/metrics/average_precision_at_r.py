"""Average precision up to the rank where it could be perfect."""

from __future__ import annotations

import numpy as np

from hashkernels._ops.sums import Floats
from hashkernels.metrics._average_precision import CutSums, average_precision, precision_sums
from hashkernels.metrics._ranking import Ranking, Spread
from hashkernels.metrics.counts import RetrievalCounts
from hashkernels.metrics.query_metric import QueryMetric, check_count_rule, check_counts, query_metric
from hashkernels.metrics.report import CountTies


def average_precision_at_r(counts: RetrievalCounts, *, ties: CountTies = "expected") -> QueryMetric:
    """MAP@R: average precision at rank R, over R, R being the number of items relevant to the query.

    Not the "mAP@R" of hashing papers, whose R is one cutoff for all queries: that is ``k`` of ``evaluate``.

    Args:
        counts: from ``retrieval_counts``.
        ties: "expected", the mean over all orders of ties; "optimistic"; "pessimistic".

    Returns:
        QueryMetric; a query with nothing relevant has 0.

    Raises:
        ValueError: ties out of range. TypeError: counts of another type.

    Source: Musgrave, Belongie and Lim, *A Metric Learning Reality Check*, ECCV 2020.

    Example:
        >>> import numpy as np
        >>> from hashkernels.metrics import RetrievalCounts, average_precision_at_r
        >>> average_precision_at_r(RetrievalCounts(np.array([[1, 1, 1]]), np.array([[0, 1, 1]]))).mean  # (1 / 2) / 2
        0.25
    """
    counts, rule = check_counts(counts), check_count_rule(ties)

    def of_block(ranking: Ranking) -> Floats:
        ties_within = (ranking.ends <= ranking.relevant).sum(axis=0)[None]
        whole = Spread(*(np.take_along_axis(sums, ties_within, axis=0)[0] for sums in precision_sums(ranking)))
        at = CutSums(ranking.cut(ranking.relevant), whole, ranking.relevant)
        return average_precision(at, counts.num_database, "relevant").under(rule)

    return query_metric(counts, of_block)
