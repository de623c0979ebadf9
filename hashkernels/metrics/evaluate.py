"""Retrieval metrics of binary codes, exact under ties."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import numpy as np

from hashkernels import _ops
from hashkernels._validation import check_choice, check_int
from hashkernels.metrics._assemble import IndexOrder, Settings, assemble
from hashkernels.metrics._inputs import check_retrieval
from hashkernels.metrics.counts import RetrievalCounts, count
from hashkernels.metrics.query_metric import check_count_rule, check_counts
from hashkernels.metrics.report import CountTies, Denominator, RetrievalReport, Ties, ZeroHit


def evaluate(
    query_codes: Any,
    database_codes: Any,
    query_labels: Any,
    database_labels: Any,
    *,
    bits: int | None = None,
    k: int | Sequence[int] | None = None,
    ties: Ties = "expected",
    denominator: Denominator = "hits",
    zero_hit: ZeroHit = "zero",
    threads: int | None = None,
) -> RetrievalReport:
    """Mean average precision and the other retrieval metrics of binary codes, by exact Hamming ranking.

    Items at equal distance from a query are tied, and the metric of a ranking depends on how ties are ordered. The
    default is the exact mean over all orders, in closed form (McSherry and Najork 2008): it does not depend on the
    order of the database, and ``report.map_bounds`` tells how far any order could move it. Average precision at k of
    a query is the sum of the precision at each relevant rank within k, over a denominator. The numbers are
    bit-identical on every machine, device and number of threads.

    Args:
        query_codes: uint8 [Q, W], packed codes (``hashkernels.pack_codes``), NumPy array or torch tensor on any device.
        database_codes: uint8 [N, W] on the same device.
        query_labels: class ids (integers [Q]), or multi-hot ({0, 1} of any dtype, [Q, C]). Two items are relevant to
            each other when they share a label.
        database_labels: the same form for N items.
        bits: code length; default 8 * W. Given, W must be ceil(bits / 8) and the pad bits zero.
        k: cutoff in 1..N, or several; default N, the whole ranking. ``report.map`` is that of the largest.
        ties: "expected", the mean over all orders of ties; "index", the order of the database, which is what a stable
            sort of the distances gives; "optimistic" and "pessimistic", the greatest and the least value over all
            orders. Each metric takes its own: with the denominator "hits" the order that is best for average precision
            at k may differ from the one that finds the most.
        denominator: of average precision at k: "hits", the relevant items found within k (the custom in deep hashing;
            finding more can lower it); "min", min(k, R); "relevant", all R relevant items. At k = N they are the same.
        zero_hit: what a query with nothing relevant within its k means. "zero": average precision 0. "skip": such a
            query is left out of the mean of that k, and one with nothing relevant in the whole database is left out
            of every mean. "error": ``ValueError``. Where ties decide, a query has no hit when no order of the ties
            gives it one; with ties="index", when that order does not.
        threads: CPU threads; default ``torch.get_num_threads()``.

    Returns:
        RetrievalReport. An order of ties that brings no hit counts as 0 within a mean over orders.

    Raises:
        ValueError: codes, labels, k or an option out of range or not fitting each other; no query; an empty database;
            ``zero_hit="error"`` with a query that has no hit, or "skip" where no query has one.
        TypeError: codes that are not uint8; class ids that are not integers.

    Example:
        >>> import numpy as np
        >>> import hashkernels as hk
        >>> database = hk.pack_codes(np.array([[1, 1, 1, 1], [1, 1, 1, -1], [1, 1, -1, 1], [-1, -1, -1, -1]]))
        >>> report = hk.evaluate(database[:1], database, np.array([0]), np.array([0, 0, 1, 1]), bits=4)
        >>> round(report.map, 6), [round(bound, 6) for bound in report.map_bounds]
        (0.916667, [0.833333, 1.0])
        >>> report.protocol
        'mAP, 4 bits, 1 queries, 4 database items, ties=expected, denominator=hits, zero_hit=zero'
    """
    check_choice("ties", ties, get_args(Ties))
    _check_policies(denominator, zero_hit)
    retrieval = check_retrieval(query_codes, database_codes, query_labels, database_labels, bits=bits)
    ks = _check_cutoffs(k, retrieval.database.shape[0])
    counts = count(retrieval, threads)
    index_order = None
    if ties == "index":
        hits, precision_sum = _ops.index_order_precision(
            retrieval.queries, retrieval.database, retrieval.query_labels, retrieval.database_labels, ks, threads
        )
        index_order = IndexOrder(hits.cpu().numpy(), precision_sum.cpu().numpy())
    return assemble(counts, Settings(ks, ties, denominator, zero_hit), index_order)


def evaluate_counts(
    counts: RetrievalCounts,
    *,
    k: int | Sequence[int] | None = None,
    ties: CountTies = "expected",
    denominator: Denominator = "hits",
    zero_hit: ZeroHit = "zero",
) -> RetrievalReport:
    """``hashkernels.evaluate`` from counts, such as the sum of those of several parts of a database.

    Args:
        counts: how many items and relevant items lie at each distance from each query.
        k, ties, denominator, zero_hit: as in ``hashkernels.evaluate``, but for ties="index": counts hold no order.

    Returns:
        RetrievalReport, bit-identical to that of ``hashkernels.evaluate`` over the whole database.

    Raises:
        ValueError, TypeError: as ``hashkernels.evaluate``.

    Example:
        >>> import numpy as np
        >>> from hashkernels.metrics import RetrievalCounts, evaluate_counts
        >>> counts = RetrievalCounts(np.array([[1, 2, 0]]), np.array([[1, 1, 0]]))
        >>> round(evaluate_counts(counts).map, 6)
        0.916667
    """
    check_counts(counts)
    check_count_rule(ties)
    _check_policies(denominator, zero_hit)
    ks = _check_cutoffs(k, counts.num_database)
    return assemble(counts, Settings(ks, ties, denominator, zero_hit), None)


def _check_policies(denominator: str, zero_hit: str) -> None:
    check_choice("denominator", denominator, get_args(Denominator))
    check_choice("zero_hit", zero_hit, get_args(ZeroHit))


def _check_cutoffs(k: int | Sequence[int] | None, num_database: int) -> tuple[int, ...]:
    if k is None:
        return (num_database,)
    if isinstance(k, int | np.integer):
        return (check_int("k", k, 1, num_database),)
    if isinstance(k, str | bytes) or not isinstance(k, Sequence | np.ndarray):
        raise TypeError(f"k must be an int or several, got {type(k).__name__}")
    if len(k) == 0:
        raise ValueError("k must name at least one cutoff, got none")
    return tuple(sorted({check_int("k", cutoff, 1, num_database) for cutoff in k}))
