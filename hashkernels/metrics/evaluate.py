"""Retrieval metrics of binary codes, exact under ties."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from hashkernels._ranks import Ranks
from hashkernels.metrics._assemble import assemble
from hashkernels.metrics._index_order import ranked_by_index
from hashkernels.metrics._inputs import Retrieval, check_retrieval
from hashkernels.metrics._nearest import nearest_index_order, search_pays
from hashkernels.metrics._pairs import Pairs, excluded_pairs, relevance_pairs
from hashkernels.metrics._settings import Settings, check_policies
from hashkernels.metrics._task import Task
from hashkernels.metrics.code_statistics import CodeStatistics, code_statistics
from hashkernels.metrics.counts import RetrievalCounts, count
from hashkernels.metrics.per_class import QueryClasses
from hashkernels.metrics.protocols import ProtocolName
from hashkernels.metrics.query_metric import check_counts
from hashkernels.metrics.report import CountTies, Denominator, RetrievalReport, Ties, ZeroHit

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


def evaluate(
    query_codes: Any,
    database_codes: Any,
    query_labels: Any = None,
    database_labels: Any = None,
    *,
    relevance: Any = None,
    bits: int | None = None,
    k: int | Sequence[int] | None = None,
    ties: Ties = "expected",
    denominator: Denominator = "hits",
    zero_hit: ZeroHit = "zero",
    protocol: ProtocolName | None = None,
    exclude: Any = None,
    exclude_self: bool = False,
    index_order: bool = False,
    statistics: bool = False,
    distributed: bool | ProcessGroup = False,
    threads: int | None = None,
) -> RetrievalReport:
    """Mean average precision and the other retrieval metrics of binary codes, by exact Hamming ranking.

    Items at equal distance from a query are tied, and the metric of a ranking depends on how ties are ordered. The
    default is the exact mean over all orders, in closed form (McSherry and Najork 2008): it does not depend on the
    order of the database, and ``report.map_bounds`` tells how far any order could move it. Average precision at k of
    a query is the sum of the precision at each relevant rank within k, over a denominator. The numbers are
    bit-identical on every machine, device, number of threads and number of ranks.

    Args:
        query_codes: uint8 [Q, W], packed codes (``hashkernels.pack_codes``), NumPy array or torch tensor on any device;
            or bool, or -1/+1 of a signed integer or float dtype, [Q, bits], which are packed (zeros as -1, with a
            warning); or the name of an .npy file of either, which is memory-mapped, as may be labels.
        database_codes: the same for N items. Where only one of both is on a GPU, the other is brought there; a
            database that would fill more than half of its free memory passes through it in parts.
        query_labels: class ids (integers below 2^63, [Q]), or multi-hot ({0, 1} of any real dtype, [Q, C]). Two items
            are relevant to each other when they share a label. -1 is a class like any other, with a warning where a
            query has it.
        database_labels: the same form for N items.
        relevance: which items are relevant to each query, in place of labels: a dict of the position of a query to the
            positions of items, or to a dict of those to gains; a scipy or torch sparse matrix or a dense one, [Q, N];
            or CSR arrays (data, indices, indptr) or (indices, indptr). A gain of 0 is irrelevant, and all others count
            alike in everything but ``report.ndcg``. ``qrels_relevance`` turns names into positions.
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
        protocol: a name in ``PROTOCOLS``; it sets k, denominator and zero_hit as papers do, finds the value in index
            order beside the expected one, and stands in the report. Smaller cutoffs may be asked for beside its own.
        exclude: items to leave out of each query's ranking: positions in the database, integers [Q] or signed ones
            [Q, E], -1 for none; or a form that ``relevance`` may have, where a gain of 0 leaves nothing out. Unsigned
            integers of two dimensions are a matrix [Q, N].
        exclude_self: query i is item i of a database of as many items, and is left out of its own ranking.
        index_order: also find the value in index order, for ``report.map_index``, ``report.quote`` and
            ``report.compat``. Where k is small against the database (a hundredth) it comes from the nearest k items;
            else it takes about three times as long as everything else, more with many relevant items, and longer with
            ``exclude``, ``relevance`` or ranks.
        statistics: also find ``report.query_statistics`` and ``report.database_statistics``.
        distributed: True (the default process group) or a process group: every rank calls with the same queries and its
            own contiguous part of the database, in the order of ranks; a part may be empty. Positions in ``exclude``
            and ``relevance`` are those of the whole database. Every rank returns the same report, bit for bit that of
            one process, but for ``database_statistics``, which are of its part. Where a rank fails, all raise; where
            one is killed or hangs, the others raise ``RuntimeError`` within the ``timeout=`` of the process group (NCCL
            then ends the process).
        threads: CPU threads; default ``torch.get_num_threads()``.

    Returns:
        RetrievalReport. An order of ties that brings no hit counts as 0 within a mean over orders.

    Raises:
        ValueError: codes, labels, k or an option out of range or not fitting each other; no query; an empty database;
            an argument that contradicts the protocol; ranks that disagree; ``zero_hit="error"`` with a query that has
            no hit, or "skip" where no query has one.
        TypeError: codes of another dtype; class ids that are not integers; labels and relevance both or neither.
        RuntimeError: ``distributed`` without a process group; another rank failed with an error of another kind,
            died or hangs.

    Example:
        >>> import numpy as np
        >>> import hashkernels as hk
        >>> database = hk.pack_codes(np.array([[1, 1, 1, 1], [1, 1, 1, -1], [1, 1, -1, 1], [-1, -1, -1, -1]]))
        >>> report = hk.evaluate(database[:1], database, np.array([0]), np.array([0, 0, 1, 1]), bits=4)
        >>> round(report.map, 6), [round(bound, 6) for bound in report.map_bounds]
        (0.916667, [0.833333, 1.0])
        >>> report.protocol
        'mAP, 4 bits, 1 query, 4 database items, ties=expected, denominator=hits, zero_hit=zero'
    """
    ranks = Ranks(distributed)
    policies = ranks.together(lambda: check_policies(k, ties, denominator, zero_hit, protocol))
    labelled = relevance is None
    retrieval = ranks.together(
        lambda: _checked_inputs(query_codes, database_codes, query_labels, database_labels, labelled, bits, ranks.alone)
    )
    wants_order = index_order or ties == "index" or protocol is not None
    ranks.agree(
        bits=retrieval.bits,
        **policies._asdict(),
        index_order=wants_order,
        statistics=bool(statistics),
        labels=retrieval.label_form,
        queries=ranks.digest(retrieval.queries, retrieval.query_labels),
    )
    sizes = ranks.gather(int(retrieval.database.shape[0]))

    def prepare() -> tuple[Task, Task, Settings]:
        whole = _whole_task(retrieval, sum(sizes), relevance, exclude, exclude_self)
        settings = policies.settings(_longest(whole, sum(sizes)))
        first = sum(sizes[: ranks.rank])
        parts = (None if pairs is None else pairs.within(first, sizes[ranks.rank]) for pairs in whole[1:])
        return whole, Task(retrieval, *parts), settings

    whole, task, settings = ranks.together(prepare)
    ranks.agree(pairs=ranks.digest(*(part for pairs in whole[1:] if pairs is not None for part in pairs)))
    own = ranks.together(lambda: count(task, threads))
    overall = own if ranks.alone else own.across(ranks)
    orders = None
    if wants_order:
        ks = sorted({1, *settings.ks})
        if search_pays(whole, sum(sizes), ks[-1]):
            orders = nearest_index_order(task, ks, ranks, threads).by_cutoff(ks)
        else:
            orders = ranked_by_index(task, ks, own, overall, ranks, threads).by_cutoff(ks)
    described = ranks.together(lambda: _statistics(retrieval)) if statistics else (None, None)
    return assemble(
        overall,
        settings,
        orders,
        threads,
        query_classes=QueryClasses.of(retrieval.query_labels) if labelled else None,
        query_statistics=described[0],
        database_statistics=described[1],
        gains=_gains_by_distance(whole, task, ranks),
    )


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
    policies = check_policies(k, ties, denominator, zero_hit, of_counts=True)
    return assemble(counts, policies.settings(counts.num_ranked))


def _checked_inputs(
    query_codes: Any,
    database_codes: Any,
    query_labels: Any,
    database_labels: Any,
    labelled: bool,
    bits: int | None,
    alone: bool,
) -> Retrieval:
    given = query_labels is not None, database_labels is not None
    if given != (labelled, labelled):
        raise TypeError("evaluate needs query_labels and database_labels, or relevance in their place")
    return check_retrieval(
        query_codes,
        database_codes,
        query_labels,
        database_labels,
        bits=bits,
        labelled=labelled,
        allow_empty_database=not alone,
    )


def _whole_task(retrieval: Retrieval, num_database: int, relevance: Any, exclude: Any, exclude_self: bool) -> Task:
    """Pairs by position in the whole database."""
    num_queries = int(retrieval.queries.shape[0])
    if num_database == 0:
        raise ValueError("database_codes must hold at least one code on some rank, got none")
    left_out = None
    if exclude_self:
        if exclude is not None:
            raise ValueError("exclude and exclude_self exclude each other: give one")
        if num_queries != num_database:
            raise ValueError(
                f"exclude_self needs as many queries as database items, got {num_queries} and {num_database}: "
                "give exclude the position of each query in the database"
            )
        exclude = torch.arange(num_queries, device="cpu")
    if exclude is not None:
        left_out = excluded_pairs("exclude", exclude, num_queries, num_database)
    wanted = None if relevance is None else relevance_pairs("relevance", relevance, num_queries, num_database)
    if wanted is not None and left_out is not None:
        wanted = wanted.without(left_out)
    return Task(retrieval, wanted, left_out)


def _longest(whole: Task, num_database: int) -> int:
    left_out = whole.left_out_per_query()
    longest = num_database - (0 if left_out is None else int(left_out.min()))
    if longest == 0:
        raise ValueError("exclude must leave at least one item to rank, got none")
    return longest


def _statistics(retrieval: Retrieval) -> tuple[CodeStatistics, CodeStatistics | None]:
    database = code_statistics(retrieval.database, retrieval.bits) if retrieval.database.shape[0] else None
    return code_statistics(retrieval.queries, retrieval.bits), database


def _gains_by_distance(whole: Task, task: Task, ranks: Ranks) -> Pairs | None:
    """Gains with the distance of each relevant pair in place of its item, sorted by (query, distance, gain); None where
    all gains are the same, and say no more than relevance."""
    if whole.relevance is None or task.relevance is None or (whole.relevance.gains == whole.relevance.gains[:1]).all():
        return None
    pairs = task.relevance
    distances = ranks.together(lambda: pairs.distances(task.retrieval.queries, task.retrieval.database))
    return Pairs.joined(ranks.gather(pairs._replace(items=distances)))
