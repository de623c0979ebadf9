"""Ops that compare packed codes: distances, the k nearest, everything within a radius."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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

DISTANCE_DTYPES = (torch.uint8, torch.int16, torch.int32)


def hamming_distance(
    queries: Tensor, database: Tensor, dtype: torch.dtype = torch.int32, threads: int | None = None
) -> Tensor:
    """Distances [Q, N] of uint8 codes [Q, W] and [N, W]; the caller sees to it that they fit ``dtype``.

    In this and the searches below, a database in host memory streams to queries on a GPU.
    """
    if streaming.streams(queries, database):
        return streaming.hamming_distance(
            queries, database, lambda part: hamming_distance(queries, part, dtype, threads)
        )
    distances: Tensor = _hamming_distance(queries, database, dtype, thread_argument(threads))
    return distances


def topk(
    queries: Tensor, database: Tensor, k: int, allowed: Tensor | None = None, threads: int | None = None
) -> tuple[Tensor, Tensor]:
    """The k least (distance, index) of each query: int32 and int64 [Q, k], padded with (INT32_MAX, -1) where fewer than
    k positions are ``allowed`` (bool [N])."""
    if streaming.streams(queries, database):
        return streaming.topk(
            queries, database, k, allowed, lambda part, k, within: topk(queries, part, k, within, threads)
        )
    result: tuple[Tensor, Tensor] = _topk(queries, database, k, allowed, thread_argument(threads))
    return result


def range_search(
    queries: Tensor, database: Tensor, radius: int, threads: int | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """All within ``radius``: offsets int64 [Q + 1], distances int32 and indices int64, by (distance, index) a query."""
    if streaming.streams(queries, database):
        return streaming.range_search(queries, database, lambda part: range_search(queries, part, radius, threads))
    result: tuple[Tensor, Tensor, Tensor] = _range_search(queries, database, radius, thread_argument(threads))
    return result


def range_nearest(
    queries: Tensor, database: Tensor, radius: int, max_results: int, threads: int | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """The ``max_results`` nearest within ``radius``: counts int64 [Q] of all that are, distances int32 and indices
    int64 [Q, max_results], padded with (INT32_MAX, -1). A row with ``counts > max_results`` is cut off. Of fixed size,
    so nothing waits for a CUDA device."""
    if streaming.streams(queries, database):
        return streaming.range_nearest(
            queries, database, max_results, lambda part: range_nearest(queries, part, radius, max_results, threads)
        )
    result: tuple[Tensor, Tensor, Tensor] = _range_nearest(
        queries, database, radius, max_results, thread_argument(threads)
    )
    return result


def _hamming_distance_cpu(queries: Tensor, database: Tensor, dtype: torch.dtype, threads: int) -> Tensor:
    queries, database = code_rows(queries, database)
    kernel = _loader.cpu_kernel("hamming_distance")
    if kernel is None:
        return reference.hamming_distance(queries, database, dtype)
    out = _distance_output(queries, database, dtype)
    kernel(*pair_arguments(queries, database), out.data_ptr(), out.element_size(), thread_count(threads))
    return out


def _hamming_distance_cuda(queries: Tensor, database: Tensor, dtype: torch.dtype, threads: int) -> Tensor:
    queries, database = code_rows(queries, database)
    kernel = _loader.cuda_kernel("cuda_hamming_distance")
    if kernel is None:
        return reference.hamming_distance(queries, database, dtype)
    out = _distance_output(queries, database, dtype)
    kernel(*pair_arguments(queries, database), out.data_ptr(), out.element_size(), *cuda_arguments(queries))
    return out


def _distance_output(queries: Tensor, database: Tensor, dtype: torch.dtype) -> Tensor:
    if dtype not in DISTANCE_DTYPES:
        raise TypeError(f"dtype must be uint8, int16 or int32, got {dtype}")
    return queries.new_empty((queries.shape[0], database.shape[0]), dtype=dtype)


def _hamming_distance_fake(queries: Tensor, database: Tensor, dtype: torch.dtype, threads: int) -> Tensor:
    return queries.new_empty((queries.shape[0], database.shape[0]), dtype=dtype)


def check_topk(queries: Tensor, num_database: int, k: int, allowed: Tensor | None) -> Tensor | None:
    """``allowed`` as the pointer contract wants it."""
    if not 1 <= k <= num_database:
        raise ValueError(f"k must be in 1..{num_database}, got {k}")
    if allowed is None:
        return None
    if allowed.dtype != torch.bool or allowed.shape != (num_database,):
        raise ValueError(f"allowed must be bool [{num_database}], got {allowed.dtype} {tuple(allowed.shape)}")
    _validation.check_same_device("queries", queries, "allowed", allowed)
    return allowed.contiguous()


def call_topk(
    kernel: Callable[..., Any], pair: tuple[int, ...], queries: Tensor, k: int, allowed: Tensor | None, threads: int
) -> tuple[Tensor, Tensor]:
    """The results of a CPU kernel whose leading arguments are ``pair``."""
    distances, indices = empty_topk(queries, k)
    kernel(
        *pair,
        k,
        0 if allowed is None else allowed.data_ptr(),
        distances.data_ptr(),
        indices.data_ptr(),
        thread_count(threads),
    )
    return distances, indices


def _topk_cpu(queries: Tensor, database: Tensor, k: int, allowed: Tensor | None, threads: int) -> tuple[Tensor, Tensor]:
    queries, database = code_rows(queries, database)
    allowed = check_topk(queries, database.shape[0], k, allowed)
    kernel = _loader.cpu_kernel("topk")
    if kernel is None:
        return reference.topk(queries, database, k, allowed)
    return call_topk(kernel, pair_arguments(queries, database), queries, k, allowed, threads)


def _topk_cuda(
    queries: Tensor, database: Tensor, k: int, allowed: Tensor | None, threads: int
) -> tuple[Tensor, Tensor]:
    queries, database = code_rows(queries, database)
    allowed = check_topk(queries, database.shape[0], k, allowed)
    kernel, sizes = _loader.cuda_kernel("cuda_topk"), _loader.cuda_kernel("cuda_topk_workspace")
    if kernel is None or sizes is None:
        return reference.topk(queries, database, k, allowed)

    def num_values(num_queries: int) -> int:
        return int(sizes(num_queries, database.shape[0], database.shape[1]))

    distances, indices = empty_topk(queries, k)
    for part in query_parts(queries.shape[0], num_values):
        space = workspace(queries, num_values(part.stop - part.start))
        kernel(
            *pair_arguments(queries[part], database),
            k,
            0 if allowed is None else allowed.data_ptr(),
            distances[part].data_ptr(),
            indices[part].data_ptr(),
            space.data_ptr(),
            *cuda_arguments(queries),
        )
    return distances, indices


def _topk_fake(
    queries: Tensor, database: Tensor, k: int, allowed: Tensor | None, threads: int
) -> tuple[Tensor, Tensor]:
    return empty_topk(queries, k)


def empty_topk(queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Room for the results of a top-k search."""
    shape = (queries.shape[0], k)
    return queries.new_empty(shape, dtype=torch.int32), queries.new_empty(shape, dtype=torch.int64)


def call_range_search(
    count: Callable[..., Any],
    fill: Callable[..., Any],
    pair: tuple[int, ...],
    queries: Tensor,
    radius: int,
    threads: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """The results of two CPU kernels whose leading arguments are ``pair``."""
    counts = queries.new_empty(queries.shape[0], dtype=torch.int64)
    count(*pair, radius, counts.data_ptr(), thread_count(threads))
    offsets = queries.new_zeros(queries.shape[0] + 1, dtype=torch.int64)
    torch.cumsum(counts, 0, out=offsets[1:])
    total = int(offsets[-1])
    distances = queries.new_empty(total, dtype=torch.int32)
    indices = queries.new_empty(total, dtype=torch.int64)
    fill(*pair, radius, offsets.data_ptr(), distances.data_ptr(), indices.data_ptr(), thread_count(threads))
    return offsets, distances, indices


def _range_search_cpu(queries: Tensor, database: Tensor, radius: int, threads: int) -> tuple[Tensor, Tensor, Tensor]:
    queries, database = code_rows(queries, database)
    count, fill = _loader.cpu_kernel("range_count"), _loader.cpu_kernel("range_fill")
    if count is None or fill is None:
        return reference.range_search(queries, database, radius)
    return call_range_search(count, fill, pair_arguments(queries, database), queries, radius, threads)


def _range_search_cuda(queries: Tensor, database: Tensor, radius: int, threads: int) -> tuple[Tensor, Tensor, Tensor]:
    queries, database = code_rows(queries, database)
    count, fill = _loader.cuda_kernel("cuda_range_count"), _loader.cuda_kernel("cuda_range_fill")
    sizes = _loader.cuda_kernel("cuda_range_workspace")
    if count is None or fill is None or sizes is None or database.shape[0] == 0:
        return reference.range_search(queries, database, radius)
    # Every part keeps its workspace from counting to filling; only the size of the result is waited for.
    device = cuda_arguments(queries)
    counts = queries.new_empty(queries.shape[0], dtype=torch.int64)
    parts = list(query_parts(queries.shape[0], lambda n: int(sizes(n, database.shape[0], database.shape[1], radius))))
    spaces = []
    for part in parts:
        space = workspace(queries, sizes(part.stop - part.start, database.shape[0], database.shape[1], radius))
        count(*pair_arguments(queries[part], database), radius, counts[part].data_ptr(), space.data_ptr(), *device)
        spaces.append(space)
    offsets = queries.new_zeros(queries.shape[0] + 1, dtype=torch.int64)
    torch.cumsum(counts, 0, out=offsets[1:])
    total = int(offsets[-1])
    distances = queries.new_empty(total, dtype=torch.int32)
    indices = queries.new_empty(total, dtype=torch.int64)
    for part, space in zip(parts, spaces, strict=True):
        fill(
            *pair_arguments(queries[part], database),
            radius,
            offsets[part].data_ptr(),
            distances.data_ptr(),
            indices.data_ptr(),
            space.data_ptr(),
            *device,
        )
    return offsets, distances, indices


def _range_search_fake(queries: Tensor, database: Tensor, radius: int, threads: int) -> tuple[Tensor, Tensor, Tensor]:
    return fake_ranges(queries)


def fake_ranges(queries: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What a range search returns, its size unknown."""
    total = torch.library.get_ctx().new_dynamic_size()
    return (
        queries.new_empty(queries.shape[0] + 1, dtype=torch.int64),
        queries.new_empty(total, dtype=torch.int32),
        queries.new_empty(total, dtype=torch.int64),
    )


def _range_nearest_cpu(
    queries: Tensor, database: Tensor, radius: int, max_results: int, threads: int
) -> tuple[Tensor, Tensor, Tensor]:
    offsets, found_distances, found_indices = _range_search(queries, database, radius, threads)
    counts = offsets.diff()
    _, distances, indices = _range_nearest_fake(queries, database, radius, max_results, threads)
    distances.fill_(torch.iinfo(torch.int32).max)
    indices.fill_(-1)
    query = torch.repeat_interleave(counts)
    place = torch.arange(len(query), device=queries.device) - offsets[query]
    kept = place < max_results
    distances[query[kept], place[kept]] = found_distances[kept]
    indices[query[kept], place[kept]] = found_indices[kept]
    return counts, distances, indices


def _range_nearest_cuda(
    queries: Tensor, database: Tensor, radius: int, max_results: int, threads: int
) -> tuple[Tensor, Tensor, Tensor]:
    queries, database = code_rows(queries, database)
    kernel, sizes = _loader.cuda_kernel("cuda_range_nearest"), _loader.cuda_kernel("cuda_range_workspace")
    if kernel is None or sizes is None or database.shape[0] == 0 or max_results == 0:
        return _range_nearest_cpu(queries, database, radius, max_results, threads)

    def num_values(num_queries: int) -> int:
        return int(sizes(num_queries, database.shape[0], database.shape[1], radius))

    counts, distances, indices = _range_nearest_fake(queries, database, radius, max_results, threads)
    for part in query_parts(queries.shape[0], num_values):
        space = workspace(queries, num_values(part.stop - part.start))
        kernel(
            *pair_arguments(queries[part], database),
            radius,
            max_results,
            counts[part].data_ptr(),
            distances[part].data_ptr(),
            indices[part].data_ptr(),
            space.data_ptr(),
            *cuda_arguments(queries),
        )
    return counts, distances, indices


def _range_nearest_fake(
    queries: Tensor, database: Tensor, radius: int, max_results: int, threads: int
) -> tuple[Tensor, Tensor, Tensor]:
    shape = (queries.shape[0], max_results)
    return (
        queries.new_empty(queries.shape[0], dtype=torch.int64),
        queries.new_empty(shape, dtype=torch.int32),
        queries.new_empty(shape, dtype=torch.int64),
    )


_hamming_distance = define(
    "hamming_distance(Tensor queries, Tensor database, ScalarType dtype, int threads) -> Tensor",
    cpu=_hamming_distance_cpu,
    cuda=_hamming_distance_cuda,
    fake=_hamming_distance_fake,
)
_topk = define(
    "topk(Tensor queries, Tensor database, SymInt k, Tensor? allowed, int threads) -> (Tensor, Tensor)",
    cpu=_topk_cpu,
    cuda=_topk_cuda,
    fake=_topk_fake,
)
_range_search = define(
    "range_search(Tensor queries, Tensor database, int radius, int threads) -> (Tensor, Tensor, Tensor)",
    cpu=_range_search_cpu,
    cuda=_range_search_cuda,
    fake=_range_search_fake,
)
_range_nearest = define(
    "range_nearest(Tensor queries, Tensor database, int radius, SymInt max_results, int threads)"
    " -> (Tensor, Tensor, Tensor)",
    cpu=_range_nearest_cpu,
    cuda=_range_nearest_cuda,
    fake=_range_nearest_fake,
)
