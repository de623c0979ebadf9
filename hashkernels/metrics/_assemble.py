"""From counts to a report: a block of queries at a time, summed in a way that no order can change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hashkernels._ops.sums import Floats
from hashkernels.metrics._average_precision import average_precision, precision_sums
from hashkernels.metrics._fixed import fixed_mean, fixed_means, fixed_sum
from hashkernels.metrics._index_order import IndexOrder
from hashkernels.metrics._ranking import Ranking, Spread, hits_at
from hashkernels.metrics._settings import Settings
from hashkernels.metrics.counts import RetrievalCounts
from hashkernels.metrics.report import Bounds, DistanceHistogram, PerQuery, RetrievalReport

# Counts looked at together: enough to hide the cost of a NumPy call, few enough to stay in a core's cache.
_BLOCK = 1 << 15


class _Mean:
    """Fixed-point sum over the queries that count, block by block."""

    def __init__(self, num_values: int) -> None:
        self.total: Any = np.zeros(num_values, dtype=object)
        self.count = 0

    def add(self, values: Floats, counted: npt.NDArray[np.bool_]) -> None:
        self.total += fixed_sum(values[:, counted])
        self.count += int(counted.sum())

    def values(self) -> Floats:
        return fixed_means(self.total, self.count)


class _Totals:
    """Sums of the values at one cutoff: under the rule with its bounds, expected, in index order; precision, recall."""

    def __init__(self) -> None:
        self.under_rule, self.expected, self.in_order, self.shares = _Mean(3), _Mean(1), _Mean(1), _Mean(2)


def assemble(
    counts: RetrievalCounts,
    settings: Settings,
    index_order: Mapping[int, IndexOrder] | None = None,
    **further: Any,
) -> RetrievalReport:
    """The report of ``counts``; ``index_order`` by cutoff where it is known; ``further`` fields go into the report."""
    within: Any = np.zeros((2, counts.bits + 1), dtype=object)

    def add_radii(ranking: Ranking, answerable: npt.NDArray[np.bool_]) -> None:
        nonlocal within
        shares = _within_radius(ranking)
        within = within + fixed_sum(shares if answerable.all() else shares[:, :, answerable])

    values, answerable = summarize(blocks(counts), settings, index_order, add_radii)
    histogram = counts.relevant.sum(axis=0)
    return RetrievalReport(
        **values,
        precision_within=fixed_means(within[0], answerable),
        recall_within=fixed_means(within[1], answerable),
        distance_histogram=DistanceHistogram(histogram, counts.total.sum(axis=0) - histogram),
        bits=counts.bits,
        counts=counts,
        num_queries=counts.num_queries,
        num_database=counts.num_database,
        num_ranked=counts.num_ranked,
        index_order=index_order,
        **further,
    )


def summarize(
    rankings: Iterable[tuple[slice, Ranking]],
    settings: Settings,
    index_order: Mapping[int, IndexOrder] | None,
    look: Callable[[Ranking, npt.NDArray[np.bool_]], None] | None = None,
) -> tuple[dict[str, Any], int]:
    """The fields of a ``RankingReport`` but for the sizes, and the number of queries in the means of precision.

    ``look`` sees each block of queries and which of them are in those means.
    """
    totals = {k: _Totals() for k in settings.ks}
    per_query: list[PerQuery] = []
    for block, ranking in rankings:
        sums = precision_sums(ranking)
        answerable = (ranking.relevant > 0) | (settings.zero_hit != "skip")
        for k in settings.ks:
            order = None if index_order is None else index_order[k].of_queries(block)
            by_rule = _at_cutoff(ranking, sums, k, settings, order)
            values = by_rule[settings.ties]
            if settings.zero_hit == "error" and not values.counted.all():
                query = block.start + int(np.argmin(values.counted))
                raise ValueError(
                    f'query_labels must give each query a relevant item within k={k} (zero_hit="error"), '
                    f"got none for query {query}"
                )
            _add(totals[k], by_rule, values, k, answerable)
        per_query.append(values)
        if look is not None:
            look(ranking, answerable)
    for k, total in totals.items():
        if total.under_rule.count == 0:
            raise ValueError(
                f'query_labels must give some query a relevant item within k={k} (zero_hit="skip"), got none'
            )
    last = totals[settings.ks[-1]]
    ap, least, greatest = last.under_rule.values().tolist()
    return {
        "map": ap,
        "map_bounds": Bounds(least, greatest),
        "map_expected": last.expected.values().item(),
        "map_index": None if index_order is None else last.in_order.values().item(),
        "map_at": {k: fixed_mean(total.under_rule.total[0], total.under_rule.count) for k, total in totals.items()},
        "precision_at": {k: fixed_mean(total.shares.total[0], total.shares.count) for k, total in totals.items()},
        "recall_at": {k: fixed_mean(total.shares.total[1], total.shares.count) for k, total in totals.items()},
        "per_query": PerQuery(*(np.concatenate(parts) for parts in zip(*per_query, strict=True))),
        "num_counted": last.under_rule.count,
        "ks": settings.ks,
        "ties": settings.ties,
        "denominator": settings.denominator,
        "zero_hit": settings.zero_hit,
        "protocol_name": settings.protocol,
    }, last.shares.count


def blocks(counts: RetrievalCounts) -> Iterator[tuple[slice, Ranking]]:
    """The queries in blocks that fit a core's cache."""
    step = max(1, _BLOCK // (counts.bits + 1))
    for start in range(0, counts.num_queries, step):
        block = slice(start, min(start + step, counts.num_queries))
        yield block, Ranking.of(counts.total[block], counts.relevant[block])


def _add(
    total: _Totals, by_rule: Mapping[str, PerQuery], values: PerQuery, k: int, answerable: npt.NDArray[np.bool_]
) -> None:
    total.under_rule.add(np.stack([values.average_precision, values.least, values.greatest]), values.counted)
    total.expected.add(by_rule["expected"].average_precision[None], by_rule["expected"].counted)
    if "index" in by_rule:
        total.in_order.add(by_rule["index"].average_precision[None], by_rule["index"].counted)
    shares = np.stack([values.hits / k, values.hits / np.maximum(values.relevant, 1)])
    total.shares.add(shares, answerable)


def _at_cutoff(
    ranking: Ranking, sums: Spread, k: int, settings: Settings, order: IndexOrder | None
) -> dict[str, PerQuery]:
    """Values of each query at ``k`` under the rule of the settings, "expected", and "index" where it is known.

    ``counted`` is False where nothing relevant can be within k and such queries do not count.
    """
    average = average_precision(ranking, sums, k, settings.denominator)
    hits = hits_at(ranking.cut(k))
    bounds = average.least, average.greatest

    def counted(found: Any) -> npt.NDArray[np.bool_]:
        return np.ones(found.shape, dtype=np.bool_) if settings.zero_hit == "zero" else found

    possible = counted(hits.greatest > 0)
    values: dict[str, PerQuery] = {
        rule: PerQuery(average.under(rule), *bounds, ranking.relevant, hits.under(rule), possible)
        for rule in {"expected", settings.ties} - {"index"}
    }
    if order is not None:
        divisors = {"hits": order.hits, "min": np.minimum(ranking.relevant, k), "relevant": ranking.relevant}
        in_order = order.precision_sum / np.maximum(divisors[settings.denominator], 1)
        # the kernel's terms are multiples of 2^-40: without ties this leaves the exact value
        in_order = np.minimum(np.maximum(in_order, average.least), average.greatest)
        found = order.hits.astype(np.float64)
        values["index"] = PerQuery(in_order, *bounds, ranking.relevant, found, counted(order.hits > 0))
    return values


def _within_radius(ranking: Ranking) -> Floats:
    """Precision (0 in an empty ball) and recall within each radius, [2, bits + 1, Q]."""
    shares = np.empty((2, *ranking.ends.shape))
    np.divide(ranking.positive_ends, np.maximum(ranking.ends, 1), out=shares[0])
    np.divide(ranking.positive_ends, np.maximum(ranking.relevant, 1), out=shares[1])
    return shares
