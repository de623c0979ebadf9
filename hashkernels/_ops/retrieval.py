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

# Sums of precision are numbers of 2^-FRACTION_BITS, the lowest LOW_BITS bits of which are kept apart.
FRACTION_BITS, LOW_BITS = reference.FRACTION_BITS, reference.LOW_BITS

_MAX_RANK_ON_CUDA = 1 << 31


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
) -> tuple[Tensor, Tensor]:
    """Hits int64 [Q, K] and sums of precision at relevant ranks float64 [Q, K] within the first k of each query's
    (distance, index) order, for each cutoff k (ascending, in 1..N).

    Every precision is rounded to a multiple of 2^-40, half to even, so the sums are exact and free of order.
    """
    return precision_of(index_order_sums(queries, database, query_labels, database_labels, cutoffs, threads=threads))


def index_order_sums(
    queries: Tensor,
    database: Tensor,
    query_labels: Tensor,
    database_labels: Tensor,
    cutoffs: Sequence[int],
    *,
    starts: tuple[Tensor, Tensor] | None = None,
    threads: int | None = None,
) -> Tensor:
    """What ``index_order_precision`` makes its values of, int64 [3, Q, K]: hits, and the high and the low half of the
    sum of precision, (high * 2^20 + low) * 2^-40. Sums of contiguous parts of a database add up.

    ``starts``, two int64 [Q, 8 W + 1], are how many codes and how many relevant codes come before the first one of this
    database at each distance: they must be given where it is a part of what is ranked, and save a CPU from counting
    where it is the whole. Labels and a database in host memory as for ``retrieval_counts``. On CUDA a database has at
    most 2^31 - 1 codes, and cutoffs end at 2^31.
    """
    if streaming.streams(queries, database):
        return streaming.index_order_sums(
            starts or rank_starts(*retrieval_counts(queries, database, query_labels, database_labels, threads)),
            queries,
            database,
            database_labels,
            lambda part, labels: retrieval_counts(queries, part, query_labels, labels, threads),
            lambda part, labels, begin: index_order_sums(
                queries, part, query_labels, labels, cutoffs, starts=begin, threads=threads
            ),
        )
    result: Tensor = _index_order_sums(
        queries,
        database,
        query_labels,
        database_labels,
        *(starts or (None, None)),
        list(cutoffs),
        thread_argument(threads),
    )
    return result


def rank_starts(total: Tensor, relevant: Tensor) -> tuple[Tensor, Tensor]:
    """Codes and relevant codes nearer than each distance, from the counts of all that is ranked."""
    return total.cumsum(1) - total, relevant.cumsum(1) - relevant


def precision_of(sums: Tensor) -> tuple[Tensor, Tensor]:
    """Hits and summed precision, a float64 that is rounded once, from sums int64 [3, Q, K] of any low halves."""
    hits, high, low = sums
    high, low = high + (low >> LOW_BITS), low & ((1 << LOW_BITS) - 1)
    return hits, (high.double() * 2.0**LOW_BITS + low.double()) * 2.0**-FRACTION_BITS


def label_arguments(
    row_name: str, row_labels: Tensor, num_rows: int, column_name: str, column_labels: Tensor, num_columns: int
) -> tuple[Tensor, Tensor, int]:
    """Both labels, contiguous, and the number of words an item (0: class ids), as the pointer contract wants them."""
    sides = ((row_name, row_labels, num_rows), (column_name, column_labels, num_columns))
    for name, labels, items in sides[: 1 if row_labels is column_labels and num_rows == num_columns else 2]:
        if labels.dtype != torch.int64:
            raise TypeError(f"{name} must be int64, got {_validation.dtype_name(labels.dtype)}")
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


def _starts(start_ranks: Tensor | None, start_hits: Tensor | None, queries: Tensor) -> tuple[Tensor, Tensor] | None:
    """Both as the pointer contract wants them."""
    if start_ranks is None or start_hits is None:
        return None
    shape = (queries.shape[0], queries.shape[1] * 8 + 1)
    for name, starts in (("start_ranks", start_ranks), ("start_hits", start_hits)):
        if starts.dtype != torch.int64:
            raise TypeError(f"{name} must be int64, got {_validation.dtype_name(starts.dtype)}")
        if tuple(starts.shape) != shape:
            raise ValueError(f"{name} must have shape {shape}, got {tuple(starts.shape)}")
        _validation.check_same_device("queries", queries, name, starts)
    return start_ranks.contiguous(), start_hits.contiguous()


def _index_order_sums_cpu(
    queries: Tensor,
    database: Tensor,
    query_labels: Tensor,
    database_labels: Tensor,
    start_ranks: Tensor | None,
    start_hits: Tensor | None,
    cutoffs: Sequence[int],
    threads: int,
) -> Tensor:
    queries, database = code_rows(queries, database)
    query_labels, database_labels, words = label_arguments(
        "query_labels", query_labels, queries.shape[0], "database_labels", database_labels, database.shape[0]
    )
    starts = _starts(start_ranks, start_hits, queries)
    kernel = _loader.cpu_kernel("index_order_sums")
    if kernel is None:
        return reference.index_order_sums(
            queries, database, query_labels, database_labels, start_ranks, start_hits, cutoffs
        )
    sums = queries.new_empty((3, queries.shape[0], len(cutoffs)), dtype=torch.int64)
    kernel(
        *pair_arguments(queries, database),
        query_labels.data_ptr(),
        database_labels.data_ptr(),
        words,
        *((0, 0) if starts is None else (part.data_ptr() for part in starts)),
        list(cutoffs),
        sums.data_ptr(),
        thread_count(threads),
    )
    return sums


def _index_order_sums_cuda(
    queries: Tensor,
    database: Tensor,
    query_labels: Tensor,
    database_labels: Tensor,
    start_ranks: Tensor | None,
    start_hits: Tensor | None,
    cutoffs: Sequence[int],
    threads: int,
) -> Tensor:
    queries, database = code_rows(queries, database)
    query_labels, database_labels, words = label_arguments(
        "query_labels", query_labels, queries.shape[0], "database_labels", database_labels, database.shape[0]
    )
    _validation.check_same_device("queries", queries, "query_labels", query_labels)
    starts = _starts(start_ranks, start_hits, queries)
    kernel, sizes = _loader.cuda_kernel("cuda_index_order_sums"), _loader.cuda_kernel("cuda_index_order_workspace")
    if kernel is None or sizes is None:
        return reference.index_order_sums(
            queries, database, query_labels, database_labels, start_ranks, start_hits, cutoffs
        )
    for name, size, most in (
        ("database", database.shape[0], _MAX_RANK_ON_CUDA - 1),
        ("k", max(cutoffs, default=0), _MAX_RANK_ON_CUDA),
    ):
        if size > most:
            raise ValueError(f"{name} must be at most {most} for ranks in index order on a GPU, got {size}")

    def num_values(num_queries: int) -> int:
        return int(sizes(num_queries, database.shape[0], database.shape[1]))

    parts = [queries.new_empty((3, 0, len(cutoffs)), dtype=torch.int64)]
    for part in query_parts(queries.shape[0], num_values):
        space = workspace(queries, num_values(part.stop - part.start))
        sums = queries.new_empty((3, part.stop - part.start, len(cutoffs)), dtype=torch.int64)
        kernel(
            *pair_arguments(queries[part], database),
            query_labels[part].data_ptr(),
            database_labels.data_ptr(),
            words,
            *((0, 0) if starts is None else (begin[part].data_ptr() for begin in starts)),
            list(cutoffs),
            sums.data_ptr(),
            space.data_ptr(),
            *cuda_arguments(queries),
        )
        parts.append(sums)
    return torch.cat(parts, dim=1) if len(parts) != 2 else parts[1]


def _index_order_sums_fake(
    queries: Tensor,
    database: Tensor,
    query_labels: Tensor,
    database_labels: Tensor,
    start_ranks: Tensor | None,
    start_hits: Tensor | None,
    cutoffs: Sequence[int],
    threads: int,
) -> Tensor:
    return queries.new_empty((3, queries.shape[0], len(cutoffs)), dtype=torch.int64)


_retrieval_counts = define(
    "retrieval_counts(Tensor queries, Tensor database, Tensor query_labels, Tensor database_labels, int threads)"
    " -> (Tensor, Tensor)",
    cpu=_retrieval_counts_cpu,
    cuda=_retrieval_counts_cuda,
    fake=_retrieval_counts_fake,
)
_index_order_sums = define(
    "index_order_sums(Tensor queries, Tensor database, Tensor query_labels, Tensor database_labels,"
    " Tensor? start_ranks, Tensor? start_hits, int[] cutoffs, int threads) -> Tensor",
    cpu=_index_order_sums_cpu,
    cuda=_index_order_sums_cuda,
    fake=_index_order_sums_fake,
)
