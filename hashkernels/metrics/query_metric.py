"""A metric of each query and its mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from hashkernels._ops.sums import Floats
from hashkernels._validation import check_choice, check_int
from hashkernels.metrics._assemble import blocks
from hashkernels.metrics._fixed import fixed_mean, fixed_sum
from hashkernels.metrics._ranking import Ranking
from hashkernels.metrics.counts import RetrievalCounts
from hashkernels.metrics.report import CountTies


class QueryMetric(NamedTuple):
    """mean: over all queries, in a way that no order of adding can change. per_query: float64 [Q], in 0..1."""

    mean: float
    per_query: npt.NDArray[np.float64]


def check_counts(counts: Any) -> RetrievalCounts:
    """Counts of at least one database item."""
    if not isinstance(counts, RetrievalCounts):
        raise TypeError(f"counts must be RetrievalCounts, got {type(counts).__name__}")
    if counts.num_database < 1:
        raise ValueError("counts must be of at least one database item, got 0")
    return counts


def check_count_rule(ties: Any) -> str:
    """A tie rule that counts can answer; "index" needs the codes."""
    return check_choice("ties", ties, get_args(CountTies))


def check_cutoff(k: Any, counts: RetrievalCounts) -> int:
    """A rank in 1..N."""
    return check_int("k", k, 1, counts.num_database)


def query_metric(counts: RetrievalCounts, of_block: Callable[[Ranking], Floats]) -> QueryMetric:
    """The metric whose values of a block of queries ``of_block`` finds."""
    values = np.concatenate([of_block(ranking) for _, ranking in blocks(counts)])
    return QueryMetric(fixed_mean(fixed_sum(values).item(), counts.num_queries), values)
