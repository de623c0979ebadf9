"""From counts to a report: a block of queries at a time, summed in a way that no order can change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hashkernels.metrics._average_precision import average_precision, precision_sums
from hashkernels.metrics._fixed import fixed_mean, fixed_means, fixed_sum
from hashkernels.metrics._harmonic import Floats, Ints
from hashkernels.metrics._ranking import Ranking, Spread, hits_at
from hashkernels.metrics.counts import RetrievalCounts
from hashkernels.metrics.report import (
    Bounds,
    Denominator,
    DistanceHistogram,
    PerQuery,
    RetrievalReport,
    Ties,
    ZeroHit,
)

# Counts looked at together: enough to hide the cost of a NumPy call, few enough to stay in a core's cache.
_BLOCK = 1 << 15


class IndexOrder(NamedTuple):
    """Hits int64 [Q, K] and summed precision float64 [Q, K] in (distance, index) order at each cutoff."""

    hits: Ints
    precision_sum: Floats


class Settings(NamedTuple):
    """The options of an evaluation, checked; ``ks`` ascends."""

    ks: tuple[int, ...]
    ties: Ties
    denominator: Denominator
    zero_hit: ZeroHit


class _Totals:
    """Fixed-point sums over queries, block by block, of the values at one cutoff."""

    def __init__(self) -> None:
        self.average_precision: Any = np.zeros(3, dtype=object)  # under the rule, least, greatest
        self.counted = 0
        self.shares: Any = np.zeros(2, dtype=object)  # precision, recall
        self.answerable = 0

    def add(self, values: PerQuery, k: int, answerable: npt.NDArray[np.bool_]) -> None:
        averages = np.stack([values.average_precision, values.least, values.greatest])
        self.average_precision += fixed_sum(averages[:, values.counted])
        self.counted += int(values.counted.sum())
        shares = np.stack([values.hits / k, values.hits / np.maximum(values.relevant, 1)])
        self.shares += fixed_sum(shares[:, answerable])
        self.answerable += int(answerable.sum())


def assemble(counts: RetrievalCounts, settings: Settings, index_order: IndexOrder | None) -> RetrievalReport:
    """The report of ``counts``; ``index_order`` is given where ties="index"."""
    totals = {k: _Totals() for k in settings.ks}
    within: Any = np.zeros((2, counts.bits + 1), dtype=object)
    per_query: list[PerQuery] = []
    for block, ranking in blocks(counts):
        sums = precision_sums(ranking)
        answerable = (ranking.relevant > 0) | (settings.zero_hit != "skip")
        for column, k in enumerate(settings.ks):
            in_order = None
            if index_order is not None:
                in_order = IndexOrder(index_order.hits[block, column], index_order.precision_sum[block, column])
            values = _at_cutoff(ranking, sums, k, settings, in_order)
            if settings.zero_hit == "error" and not values.counted.all():
                query = block.start + int(np.argmin(values.counted))
                raise ValueError(
                    f'query_labels must give each query a relevant item within k={k} (zero_hit="error"), '
                    f"got none for query {query}"
                )
            if settings.zero_hit == "zero":
                values = values._replace(counted=np.ones_like(values.counted))
            totals[k].add(values, k, answerable)
        per_query.append(values)
        within += fixed_sum(_within_radius(ranking)[:, :, answerable])
    _refuse_empty_means(totals)
    last = totals[settings.ks[-1]]
    ap, least, greatest = fixed_means(last.average_precision, last.counted).tolist()
    histogram = counts.relevant.sum(axis=0)
    return RetrievalReport(
        map=ap,
        map_bounds=Bounds(least, greatest),
        map_at={k: fixed_mean(sums.average_precision[0], sums.counted) for k, sums in totals.items()},
        precision_at={k: fixed_mean(sums.shares[0], sums.answerable) for k, sums in totals.items()},
        recall_at={k: fixed_mean(sums.shares[1], sums.answerable) for k, sums in totals.items()},
        precision_within=fixed_means(within[0], last.answerable),
        recall_within=fixed_means(within[1], last.answerable),
        distance_histogram=DistanceHistogram(histogram, counts.total.sum(axis=0) - histogram),
        per_query=PerQuery(*(np.concatenate(parts) for parts in zip(*per_query, strict=True))),
        bits=counts.bits,
        ks=settings.ks,
        ties=settings.ties,
        denominator=settings.denominator,
        zero_hit=settings.zero_hit,
        num_queries=counts.num_queries,
        num_database=counts.num_database,
        num_counted=last.counted,
    )


def blocks(counts: RetrievalCounts) -> Iterator[tuple[slice, Ranking]]:
    """The queries in blocks that fit a core's cache."""
    step = max(1, _BLOCK // (counts.bits + 1))
    for start in range(0, counts.num_queries, step):
        block = slice(start, min(start + step, counts.num_queries))
        yield block, Ranking.of(counts.total[block], counts.relevant[block])


def _at_cutoff(ranking: Ranking, sums: Spread, k: int, settings: Settings, in_order: IndexOrder | None) -> PerQuery:
    """Values of each query at ``k``; ``counted`` is False where nothing relevant can be within k."""
    average = average_precision(ranking, sums, k, settings.denominator)
    hits = hits_at(ranking.cut(k))
    if in_order is None:
        rule_average, rule_hits = average.under(settings.ties), hits.under(settings.ties)
        counted = hits.greatest > 0
    else:
        rule_hits, counted = in_order.hits.astype(np.float64), in_order.hits > 0
        divisors = {"hits": in_order.hits, "min": np.minimum(ranking.relevant, k), "relevant": ranking.relevant}
        rule_average = in_order.precision_sum / np.maximum(divisors[settings.denominator], 1)
        # the kernel's terms are multiples of 2^-40: without ties this leaves the exact value
        rule_average = np.minimum(np.maximum(rule_average, average.least), average.greatest)
    return PerQuery(rule_average, average.least, average.greatest, ranking.relevant, rule_hits, counted)


def _within_radius(ranking: Ranking) -> Floats:
    """Precision (0 in an empty ball) and recall within each radius, [2, bits + 1, Q]."""
    return np.stack(
        [ranking.positive_ends / np.maximum(ranking.ends, 1), ranking.positive_ends / np.maximum(ranking.relevant, 1)]
    )


def _refuse_empty_means(totals: dict[int, _Totals]) -> None:
    for k, sums in totals.items():
        if sums.counted == 0:
            raise ValueError(
                f'query_labels must give some query a relevant item within k={k} (zero_hit="skip"), got none'
            )
