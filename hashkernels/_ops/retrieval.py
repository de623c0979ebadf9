"""Ops that count relevant items by distance and by rank."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hashkernels import _loader, _validation, reference
from hashkernels._ops import streaming
from hashkernels._ops._library import (
    code_rows,
    cuda_arguments,
    define,
    pair_arguments,
    query_parts,
    thread_argument,
    thread_count,
    workspace,
)


def retrieval_counts(
    queries: Tensor, database: Tensor, query_labels: Tensor, database_labels: Tensor, threads: int | None = None
) -> tuple[Tensor, Tensor]:
    """How many items (total) and how many relevant ones lie at each distance: two int64 [Q, 8 W + 1].

    Labels come from ``pack_labels``: class ids int64 [N], or words int64 [N, W'] of multi-hot labels. A database in
    host memory, whose labels may be there too, streams to queries on a GPU.
    """
    if streaming.streams(queries, database):
        return streaming.retrieval_counts(
            queries,
            database,
            database_labels,
            lambda part, labels: retrieval_counts(queries, part, query_labels, labels, threads),
        )
    result: tuple[Tensor, Tensor] = _retrieval_counts(
        queries, database, query_labels, database_labels, thread_argument(threads)
    )
    return result


def index_order_precision(
    queries: Tensor,
    database: Tensor,
    query_labels: Tensor,
    database_labels: Tensor,
    cutoffs: Sequence[int],
    threads: int | None = None,
    counts: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Hits int64 [Q, K] and sums of precision at relevant ranks float64 [Q, K] within the first k of each query's
    (distance, index) order, for each cutoff k (ascending, in 1..N).

    Every precision is rounded to a multiple of 2^-40, half to even, so the sums are exact and free of order.
    ``counts`` are what ``retrieval_counts`` found for the same arguments, or the first columns where no distance is
    greater: on the CPU they are then not found again.
    """
    result: tuple[Tensor, Tensor] = _index_order_precision(
        queries, database, query_labels, database_labels, list(cutoffs), thread_argument(threads), *(counts or ())
    )
    return result


def label_arguments(
    row_name: str, row_labels: Tensor, num_rows: int, column_name: str, column_labels: Tensor, num_columns: int
) -> tuple[Tensor, Tensor, int]:
    """Both labels, contiguous, and the number of words an item (0: class ids), as the pointer contract wants them."""
    sides = ((row_name, row_labels, num_rows), (column_name, column_labels, num_columns))
    for name, labels, items in sides[: 1 if row_labels is column_labels and num_rows == num_columns else 2]:
        if labels.dtype != torch.int64:
            raise TypeError(f"{name} must be int64, got {labels.dtype}")
        if labels.shape[0] != items or labels.shape[1:] != row_labels.shape[1:]:
            raise ValueError(f"{name} must have shape {(items, *row_labels.shape[1:])}, got {tuple(labels.shape)}")
    _validation.check_same_device(row_name, row_labels, column_name, column_labels)
    words = row_labels.shape[1] if row_labels.ndim == 2 else 0
    return row_labels.contiguous(), column_labels.contiguous(), words


def _retrieval_counts_cpu(
    queries: Tensor, database: Tensor, query_labels: Tensor, database_labels: Tensor, threads: int
) -> tuple[Tensor, Tensor]:
    queries, database = code_rows(queries, database)
    query_labels, database_labels, words = label_arguments(
        "query_labels", query_labels, queries.shape[0], "database_labels", database_labels, database.shape[0]
    )
    kernel = _loader.cpu_kernel("retrieval_counts")
    if kernel is None:
        return reference.retrieval_counts(queries, database, query_labels, database_labels)
    total, hits = _retrieval_counts_fake(queries, database, query_labels, database_labels, threads)
    kernel(
        *pair_arguments(queries, database),
        query_labels.data_ptr(),
        database_labels.data_ptr(),
        words,
        total.data_ptr(),
        hits.data_ptr(),
        thread_count(threads),
    )
    return total, hits


def _retrieval_counts_cuda(
    queries: Tensor, database: Tensor, query_labels: Tensor, database_labels: Tensor, threads: int
) -> tuple[Tensor, Tensor]:
    queries, database = code_rows(queries, database)
    query_labels, database_labels, words = label_arguments(
        "query_labels", query_labels, queries.shape[0], "database_labels", database_labels, database.shape[0]
    )
    _validation.check_same_device("queries", queries, "query_labels", query_labels)
    kernel = _loader.cuda_kernel("cuda_retrieval_counts")
    if kernel is None:
        return reference.retrieval_counts(queries, database, query_labels, database_labels)
    total, hits = _retrieval_counts_fake(queries, database, query_labels, database_labels, threads)
    kernel(
        *pair_arguments(queries, database),
        query_labels.data_ptr(),
        database_labels.data_ptr(),
        words,
        total.data_ptr(),
        hits.data_ptr(),
        *cuda_arguments(queries),
    )
    return total, hits


def _retrieval_counts_fake(
    queries: Tensor, database: Tensor, query_labels: Tensor, database_labels: Tensor, threads: int
) -> tuple[Tensor, Tensor]:
    shape = (queries.shape[0], queries.shape[1] * 8 + 1)
    return queries.new_empty(shape, dtype=torch.int64), queries.new_empty(shape, dtype=torch.int64)


def _index_order_precision_cpu(
    queries: Tensor,
    database: Tensor,
    query_labels: Tensor,
    database_labels: Tensor,
    cutoffs: Sequence[int],
    threads: int,
    total: Tensor | None = None,
    relevant: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    queries, database = code_rows(queries, database)
    query_labels, database_labels, words = label_arguments(
        "query_labels", query_labels, queries.shape[0], "database_labels", database_labels, database.shape[0]
    )
    kernel = _loader.cpu_kernel("index_order_precision")
    if kernel is None:
        return reference.index_order_precision(queries, database, query_labels, database_labels, cutoffs)
    known = _known_counts(total, relevant, queries)
    ks = torch.tensor(list(cutoffs), dtype=torch.int64)
    hits, precision_sum = _index_order_precision_fake(
        queries, database, query_labels, database_labels, cutoffs, threads
    )
    kernel(
        *pair_arguments(queries, database),
        query_labels.data_ptr(),
        database_labels.data_ptr(),
        words,
        *known,
        ks.data_ptr(),
        len(ks),
        hits.data_ptr(),
        precision_sum.data_ptr(),
        thread_count(threads),
    )
    return hits, precision_sum


def _known_counts(total: Tensor | None, relevant: Tensor | None, queries: Tensor) -> tuple[int, int, int, int]:
    """Addresses of both, elements from row to row and columns, as the pointer contract wants them; zeros for None."""
    if total is None or relevant is None:
        return 0, 0, 0, 0
    for name, counts in (("total", total), ("relevant", relevant)):
        levels = queries.shape[1] * 8 + 1
        if counts.dtype != torch.int64 or counts.device != queries.device:
            raise TypeError(f"{name} must be int64 on {queries.device}, got {counts.dtype} on {counts.device}")
        if counts.ndim != 2 or len(counts) != len(queries) or counts.shape[1] > levels:
            raise ValueError(f"{name} must have shape [{len(queries)}, up to {levels}], got {tuple(counts.shape)}")
        if counts.shape != total.shape or counts.stride() != total.stride() or counts.stride(1) != 1:
            raise ValueError(f"{name} must lie in memory like total, got strides {counts.stride()}")
    return total.data_ptr(), relevant.data_ptr(), total.stride(0), total.shape[1]


def _index_order_precision_cuda(
    queries: Tensor,
    database: Tensor,
    query_labels: Tensor,
    database_labels: Tensor,
    cutoffs: Sequence[int],
    threads: int,
    total: Tensor | None = None,
    relevant: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    queries, database = code_rows(queries, database)
    query_labels, database_labels, words = label_arguments(
        "query_labels", query_labels, queries.shape[0], "database_labels", database_labels, database.shape[0]
    )
    _validation.check_same_device("queries", queries, "query_labels", query_labels)
    kernel, sizes = _loader.cuda_kernel("cuda_index_order_precision"), _loader.cuda_kernel("cuda_index_order_workspace")
    if kernel is None or sizes is None:
        return reference.index_order_precision(queries, database, query_labels, database_labels, cutoffs)

    def num_values(num_queries: int) -> int:
        return int(sizes(num_queries, database.shape[0], database.shape[1]))

    hits, precision_sum = _index_order_precision_fake(
        queries, database, query_labels, database_labels, cutoffs, threads
    )
    for part in query_parts(queries.shape[0], num_values):
        space = workspace(queries, num_values(part.stop - part.start))
        kernel(
            *pair_arguments(queries[part], database),
            query_labels[part].data_ptr(),
            database_labels.data_ptr(),
            words,
            list(cutoffs),
            hits[part].data_ptr(),
            precision_sum[part].data_ptr(),
            space.data_ptr(),
            *cuda_arguments(queries),
        )
    return hits, precision_sum


def _index_order_precision_fake(
    queries: Tensor,
    database: Tensor,
    query_labels: Tensor,
    database_labels: Tensor,
    cutoffs: Sequence[int],
    threads: int,
    total: Tensor | None = None,
    relevant: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    shape = (queries.shape[0], len(cutoffs))
    return queries.new_empty(shape, dtype=torch.int64), queries.new_empty(shape, dtype=torch.float64)


_retrieval_counts = define(
    "retrieval_counts(Tensor queries, Tensor database, Tensor query_labels, Tensor database_labels, int threads)"
    " -> (Tensor, Tensor)",
    cpu=_retrieval_counts_cpu,
    cuda=_retrieval_counts_cuda,
    fake=_retrieval_counts_fake,
)
_index_order_precision = define(
    "index_order_precision(Tensor queries, Tensor database, Tensor query_labels, Tensor database_labels,"
    " int[] cutoffs, int threads, Tensor? total=None, Tensor? relevant=None) -> (Tensor, Tensor)",
    cpu=_index_order_precision_cpu,
    cuda=_index_order_precision_cuda,
    fake=_index_order_precision_fake,
)
