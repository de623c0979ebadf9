"""From counts to a report: a block of queries at a time, summed in a way that no order can change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hashkernels._ops.sums import Ints, fixed_sums, share_sums
from hashkernels.metrics._average_precision import CutSums, average_precision
from hashkernels.metrics._fixed import fixed_mean, fixed_means, whole_sum
from hashkernels.metrics._index_order import IndexOrder
from hashkernels.metrics._ranking import Ranking, hits_at
from hashkernels.metrics._settings import Settings
from hashkernels.metrics.counts import RetrievalCounts
from hashkernels.metrics.report import Bounds, DistanceHistogram, PerQuery, RetrievalReport

# Counts looked at together: enough to hide the cost of a NumPy call, few enough to stay in a core's cache.
_BLOCK = 1 << 15

# Places and sums of that many pairs of a query and a cutoff are kept at a time.
_CUTS = 1 << 16

Counts = tuple[slice, Ints, Ints]
"""A block of queries, and how many items and relevant items are in each tie of them, int64 [q, B] each."""


class _Means:
    """Fixed-point sums at one cutoff, over the queries that count for each, block by block."""

    names = ("map", "least", "greatest", "precision", "recall", "expected", "index")

    def __init__(self) -> None:
        self._halves: Ints = np.zeros((2, len(self.names)), dtype=np.int64)
        self.counted: Ints = np.zeros(len(self.names), dtype=np.int64)

    def add(self, by_rule: Mapping[str, PerQuery], rule: str, k: int, answerable: npt.NDArray[np.bool_]) -> None:
        at, expected = by_rule[rule], by_rule["expected"]
        in_order = by_rule.get("index", expected)  # whose mean nobody asks for where it is not known
        shares = [at.hits / k, at.hits / np.maximum(at.relevant, 1)]
        values = [*at[:3], *shares, expected.average_precision, in_order.average_precision]
        counted = [*[at.counted] * 3, answerable, answerable, expected.counted, in_order.counted]
        masks = np.stack(counted)
        self._halves += fixed_sums(np.stack(values) * masks)
        self.counted += masks.sum(axis=1)

    def values(self) -> dict[str, float]:
        """The mean of each over its queries."""
        totals = whole_sum(*self._halves).tolist()
        return {name: fixed_mean(*sums) for name, *sums in zip(self.names, totals, self.counted.tolist(), strict=True)}


def assemble(
    counts: RetrievalCounts,
    settings: Settings,
    index_order: Mapping[int, IndexOrder] | None = None,
    threads: int | None = None,
    **further: Any,
) -> RetrievalReport:
    """The report of ``counts``; ``index_order`` by cutoff where it is known; ``further`` fields go into the report."""
    step = max(1, _CUTS // len(settings.ks))
    parts = (slice(start, start + step) for start in range(0, counts.num_queries, step))
    tables = ((part, counts.total[part], counts.relevant[part]) for part in parts)
    values, answerable = summarize(tables, settings, index_order, threads)
    within = whole_sum(*share_sums(counts.total, counts.relevant, settings.zero_hit != "skip", threads))
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
    tables: Iterable[Counts],
    settings: Settings,
    index_order: Mapping[int, IndexOrder] | None,
    threads: int | None = None,
) -> tuple[dict[str, Any], int]:
    """The fields of a ``RankingReport`` but for the sizes, and the number of queries in the means of precision."""
    totals = {k: _Means() for k in settings.ks}
    per_query: list[PerQuery] = []
    for block, total, relevant in tables:
        for k, at in zip(settings.ks, CutSums.of(total, relevant, settings.ks, threads), strict=True):
            order = None if index_order is None else index_order[k].of_queries(block)
            by_rule = _at_cutoff(at, k, settings, order)
            values = by_rule[settings.ties]
            if settings.zero_hit == "error" and not values.counted.all():
                query = block.start + int(np.argmin(values.counted))
                raise ValueError(
                    f'labels or relevance must give each query a relevant item within k={k} (zero_hit="error"), '
                    f"got none for query {query}"
                )
            answerable = (at.relevant > 0) | (settings.zero_hit != "skip")
            totals[k].add(by_rule, settings.ties, k, answerable)
        per_query.append(values)
    means = {k: sums.values() for k, sums in totals.items()}
    for k, sums in totals.items():
        if sums.counted[0] == 0:
            raise ValueError(
                f'labels or relevance must give some query a relevant item within k={k} (zero_hit="skip"), got none'
            )
    num_counted, _, _, num_answerable, *_ = totals[settings.ks[-1]].counted.tolist()
    last = means[settings.ks[-1]]
    return {
        "map": last["map"],
        "map_bounds": Bounds(last["least"], last["greatest"]),
        "map_expected": last["expected"],
        "map_index": None if index_order is None else last["index"],
        "map_at": {k: found["map"] for k, found in means.items()},
        "precision_at": {k: found["precision"] for k, found in means.items()},
        "recall_at": {k: found["recall"] for k, found in means.items()},
        "per_query": PerQuery(*(np.concatenate(parts) for parts in zip(*per_query, strict=True))),
        "num_counted": num_counted,
        "ks": settings.ks,
        "ties": settings.ties,
        "denominator": settings.denominator,
        "zero_hit": settings.zero_hit,
        "protocol_name": settings.protocol,
    }, num_answerable


def blocks(counts: RetrievalCounts) -> Iterator[tuple[slice, Ranking]]:
    """The queries in blocks that fit a core's cache."""
    step = max(1, _BLOCK // (counts.bits + 1))
    for start in range(0, counts.num_queries, step):
        block = slice(start, min(start + step, counts.num_queries))
        yield block, Ranking.of(counts.total[block], counts.relevant[block])


def _at_cutoff(at: CutSums, k: int, settings: Settings, order: IndexOrder | None) -> dict[str, PerQuery]:
    """Values of each query at ``k`` under the rule of the settings, "expected", and "index" where it is known.

    ``counted`` is False where nothing relevant can be within k and such queries do not count.
    """
    average = average_precision(at, k, settings.denominator)
    hits = hits_at(at.cut)
    bounds = average.least, average.greatest

    def counted(found: Any) -> npt.NDArray[np.bool_]:
        return np.ones(found.shape, dtype=np.bool_) if settings.zero_hit == "zero" else found

    possible = counted(hits.greatest > 0)
    values: dict[str, PerQuery] = {
        rule: PerQuery(average.under(rule), *bounds, at.relevant, hits.under(rule), possible)
        for rule in {"expected", settings.ties} - {"index"}
    }
    if order is not None:
        divisors = {"hits": order.hits, "min": np.minimum(at.relevant, k), "relevant": at.relevant}
        in_order = order.precision_sum / np.maximum(divisors[settings.denominator], 1)
        # the kernel's terms are multiples of 2^-40: without ties this leaves the exact value
        in_order = np.minimum(np.maximum(in_order, average.least), average.greatest)
        found = order.hits.astype(np.float64)
        values["index"] = PerQuery(in_order, *bounds, at.relevant, found, counted(order.hits > 0))
    return values
