"""NDCG with gains of several grades, under ties."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hashkernels._ops.sums import Floats, Ints
from hashkernels.metrics._discount import Discounts
from hashkernels.metrics._fixed import fixed_mean, fixed_sum
from hashkernels.metrics._pairs import Pairs
from hashkernels.metrics.counts import RetrievalCounts
from hashkernels.metrics.query_metric import QueryMetric, check_cutoff
from hashkernels.metrics.report import CountTies


class _Group(NamedTuple):
    """Where the tie of each pair lies: ranks begin + 1 .. end; and the place of the pair in it, from 0, least first."""

    begin: Ints
    end: Ints
    place: Ints
    positives: Ints


def graded_ndcg_of_pairs(counts: RetrievalCounts, gains: Pairs, k: int | None, ties: CountTies) -> QueryMetric:
    """Discounted cumulative gain at k over that of the best ranking, discount log2(rank + 1).

    Args:
        counts: of the ranking.
        gains: of the relevant items, with their distance in place of their position; sorted by (query, distance, gain).
        k: cutoff; None is the whole ranking.
        ties: "expected": every place of a tie has the mean gain of the tie (McSherry and Najork 2008). "optimistic":
            its items stand by falling gain, "pessimistic": by rising gain; those without gain last, or first.

    Returns:
        QueryMetric; a query with nothing relevant has 0.
    """
    k = counts.num_ranked if k is None else check_cutoff(k, counts)
    group = _groups(counts, gains)
    ideal = _ideal_ranks(gains)
    if ties == "expected":
        first, last = group.begin, group.end
    elif ties == "optimistic":
        first = group.begin + group.positives - 1 - group.place
        last = first + 1
    else:
        first = group.end - group.positives + group.place
        last = first + 1
    first, last = np.minimum(first, k), np.minimum(last, k)
    best = np.minimum(ideal, k), np.minimum(ideal + 1, k)
    discounts = Discounts(np.concatenate([first, last, *best]))
    share = np.maximum(group.end - group.begin, 1) if ties == "expected" else np.ones_like(group.begin)
    scaled = _scaled(gains)
    found = _sum_by_query(counts, gains, scaled * discounts.between(first, last) / share)
    greatest = _sum_by_query(counts, gains, scaled * discounts.between(*best))
    values = np.minimum(np.where(greatest > 0, found / np.where(greatest > 0, greatest, 1.0), 0.0), 1.0)
    return QueryMetric(fixed_mean(fixed_sum(values).item(), counts.num_queries), values)


def _scaled(gains: Pairs) -> Floats:
    """Gains over a power of two, exactly, by which the greatest of each query is in 0.5..1: no sum can overflow."""
    _, starts = np.unique(gains.queries, return_index=True)
    _, exponents = np.frexp(np.maximum.reduceat(gains.gains, starts))
    scaled: Floats = np.ldexp(gains.gains, -np.repeat(exponents, np.diff(starts, append=gains.queries.size)))
    return scaled


def _groups(counts: RetrievalCounts, gains: Pairs) -> _Group:
    levels = counts.bits + 1
    ends = counts.total.cumsum(axis=1)
    keys = gains.queries * levels + gains.items
    positives = np.bincount(keys, minlength=counts.num_queries * levels)
    place = np.arange(keys.size) - (positives.cumsum() - positives)[keys]
    end = ends[gains.queries, gains.items]
    return _Group(end - counts.total[gains.queries, gains.items], end, place, positives[keys])


def _ideal_ranks(gains: Pairs) -> Ints:
    """Rank from 0 of each pair when those of its query stand by falling gain."""
    order = np.lexsort((-gains.gains, gains.queries))
    queries = gains.queries[order]
    ranks = np.empty(order.size, dtype=np.int64)
    ranks[order] = np.arange(order.size) - np.searchsorted(queries, queries)
    return ranks


def _sum_by_query(counts: RetrievalCounts, gains: Pairs, terms: Floats) -> Floats:
    """Sums of terms of each query, added one after the other in the order of the pairs."""
    return np.bincount(gains.queries, terms, minlength=counts.num_queries).astype(np.float64)
