"""Rankings by real scores: asymmetric or ternary codes, cosine similarity, anything that is not a Hamming distance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hashkernels import _ops
from hashkernels._arrays import to_tensor
from hashkernels._ops.sums import Ints
from hashkernels._validation import check_tensor, dtype_name
from hashkernels.metrics._assemble import Counts, summarize
from hashkernels.metrics._index_order import IndexOrder, ordered_sums, sum_of_halves
from hashkernels.metrics._inputs import label_pair
from hashkernels.metrics._pairs import Pairs, excluded_pairs, relevance_pairs
from hashkernels.metrics._settings import check_policies
from hashkernels.metrics._task import share_a_label
from hashkernels.metrics.per_class import QueryClasses
from hashkernels.metrics.report import Denominator, RankingReport, Ties, ZeroHit

_BLOCK = 1 << 20


def evaluate_scores(
    scores: Any,
    relevance: Any = None,
    *,
    query_labels: Any = None,
    database_labels: Any = None,
    largest: bool = True,
    k: int | Sequence[int] | None = None,
    ties: Ties = "expected",
    denominator: Denominator = "hits",
    zero_hit: ZeroHit = "zero",
    exclude: Any = None,
    index_order: bool = False,
) -> RankingReport:
    """``hashkernels.evaluate`` for a matrix of scores, under the same rules: equal scores are tied.

    A slower path, for what has no Hamming distance: each row is sorted, and the matrix must be in memory. Codes of bits
    belong into ``hashkernels.evaluate``. Scores that would be equal but for rounding are not tied: round them, or
    compute them exactly, as -1/0/+1 codes allow.

    Args:
        scores: [Q, N] of integers or of floats of 16 bits or more, without NaN; NumPy array or torch tensor on any
            device.
        relevance: which items are relevant to each query, in a form that ``hashkernels.evaluate`` takes.
        query_labels, database_labels: labels in place of ``relevance``.
        largest: whether the largest score is the nearest; False for distances.
        k, ties, denominator, zero_hit, exclude, index_order: as in ``hashkernels.evaluate``; "index" is what a stable
            sort gives.

    Returns:
        RankingReport: the ``RetrievalReport`` of ``evaluate`` without what depends on Hamming distances.

    Raises:
        ValueError, TypeError: as ``hashkernels.evaluate``; scores with NaN or of another shape.

    Example:
        >>> import numpy as np
        >>> from hashkernels.metrics import evaluate_scores
        >>> report = evaluate_scores(np.array([[0.9, 0.5, 0.5, 0.1]]), np.array([[1, 1, 0, 0]]))
        >>> round(report.map, 6), [round(bound, 6) for bound in report.map_bounds]
        (0.916667, [0.833333, 1.0])
    """
    policies = check_policies(k, ties, denominator, zero_hit)
    table = _checked_scores(scores)
    num_queries, num_database = (int(size) for size in table.shape)
    truth = _truth(table, relevance, query_labels, database_labels)
    left_out = None
    num_ranked = num_database
    if exclude is not None:
        left_out = excluded_pairs("exclude", exclude, num_queries, num_database)
        num_ranked -= int(np.bincount(left_out.queries, minlength=num_queries).min())
        if num_ranked == 0:
            raise ValueError("exclude must leave at least one item to rank, got none")
    settings = policies.settings(num_ranked)
    orders = None
    if index_order or ties == "index":
        orders = {k: IndexOrder(np.zeros(num_queries, np.int64), np.zeros(num_queries)) for k in settings.ks}
    values, _ = summarize(_rankings(table, truth, left_out, largest, orders), settings, orders)
    return RankingReport(
        **values,
        num_queries=num_queries,
        num_database=num_database,
        num_ranked=num_ranked,
        query_classes=None if truth.query_labels is None else QueryClasses.of(truth.query_labels),
    )


class _Truth(NamedTuple):
    """What is relevant: listed pairs, or labels as kernels take them."""

    listed: Pairs | None
    query_labels: Tensor | None = None
    database_labels: Tensor | None = None

    def block(self, rows: slice, num_database: int) -> npt.NDArray[np.bool_]:
        if self.query_labels is not None and self.database_labels is not None:
            return share_a_label(self.query_labels[rows], self.database_labels).cpu().numpy()
        dense = np.zeros((rows.stop - rows.start, num_database), dtype=np.bool_)
        if self.listed is not None:
            pairs = self.listed.of_queries(rows)
            dense[pairs.queries, pairs.items] = True
        return dense


def _checked_scores(scores: Any) -> Tensor:
    table = check_tensor("scores", to_tensor("scores", scores), 2)
    is_float = table.is_floating_point()
    if table.is_complex() or table.dtype == torch.bool or (is_float and table.dtype.itemsize < 2):
        raise TypeError(f"scores must be integers or floats of 16 bits or more, got {dtype_name(table.dtype)}")
    if 0 in table.shape:
        raise ValueError(f"scores must have at least one query and one item, got shape {tuple(table.shape)}")
    if is_float and bool(torch.isnan(table).any()):
        raise ValueError("scores must not contain NaN")
    return table.detach()


def _truth(scores: Tensor, relevance: Any, query_labels: Any, database_labels: Any) -> _Truth:
    given = query_labels is not None, database_labels is not None
    if given != (relevance is None, relevance is None):
        raise TypeError("evaluate_scores needs relevance, or query_labels and database_labels in its place")
    if relevance is not None:
        return _Truth(relevance_pairs("relevance", relevance, int(scores.shape[0]), int(scores.shape[1])))
    first, second = label_pair(query_labels, database_labels, scores, scores.T)
    return _Truth(None, _ops.pack_labels(first), _ops.pack_labels(second))


def _rankings(
    scores: Tensor, truth: _Truth, left_out: Pairs | None, largest: bool, orders: dict[int, IndexOrder] | None
) -> Iterator[Counts]:
    """Blocks of queries, each score a tie of its own; ``orders`` is filled for a block before it is given out."""
    num_queries, num_database = (int(size) for size in scores.shape)
    step = max(1, _BLOCK // num_database)
    for start in range(0, num_queries, step):
        rows = slice(start, min(start + step, num_queries))
        keys = _ascending(scores[rows], largest)
        order = keys.argsort(axis=1, kind="stable")
        relevant = truth.block(rows, num_database)
        present = np.ones_like(relevant)
        if left_out is not None:
            pairs = left_out.of_queries(rows)
            present[pairs.queries, pairs.items] = False
            # what is left out goes behind all others, which keep their order
            behind = (~np.take_along_axis(present, order, axis=1)).argsort(axis=1, kind="stable")
            order = np.take_along_axis(order, behind, axis=1)
        keys, relevant, present = (np.take_along_axis(part, order, axis=1) for part in (keys, relevant, present))
        relevant &= present
        if orders is not None:
            for k, found in sum_of_halves(ordered_sums(relevant, list(orders))).by_cutoff(list(orders)).items():
                orders[k].hits[rows], orders[k].precision_sum[rows] = found
        yield rows, *_ties(keys, relevant, present)


def _ascending(scores: Tensor, largest: bool) -> npt.NDArray[Any]:
    """Keys that ascend from the nearest item on, equal where scores are."""
    block = (scores.float() if scores.dtype == torch.bfloat16 else scores).cpu().numpy()
    if not largest:
        return block
    reversed_keys: npt.NDArray[Any] = -block if block.dtype.kind == "f" else ~block
    return reversed_keys


def _ties(keys: npt.NDArray[Any], relevant: npt.NDArray[np.bool_], present: npt.NDArray[np.bool_]) -> tuple[Ints, Ints]:
    """Items and relevant items of each tie, [Q, B]."""
    tie = np.zeros(keys.shape, dtype=np.int64)
    tie[:, 1:] = (keys[:, 1:] != keys[:, :-1]).cumsum(axis=1)
    levels = int(tie.max()) + 1
    cells = tie + np.arange(len(tie))[:, None] * levels
    total, hits = (np.bincount(cells[which], minlength=len(tie) * levels) for which in (present, relevant))
    return total.reshape(-1, levels), hits.reshape(-1, levels)
