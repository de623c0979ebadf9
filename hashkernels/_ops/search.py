"""Ops that compare packed codes: distances, the k nearest, everything within a radius."""

from __future__ import annotations

import torch
from torch import Tensor

from hashkernels import _loader, reference
from hashkernels._ops._library import code_rows, define, pair_arguments, thread_argument, thread_count

DISTANCE_DTYPES = (torch.uint8, torch.int16, torch.int32)


def hamming_distance(
    queries: Tensor, database: Tensor, dtype: torch.dtype = torch.int32, threads: int | None = None
) -> Tensor:
    """Distances [Q, N] of uint8 codes [Q, W] and [N, W]; the caller sees to it that they fit ``dtype``."""
    distances: Tensor = _hamming_distance(queries, database, dtype, thread_argument(threads))
    return distances


def topk(
    queries: Tensor, database: Tensor, k: int, allowed: Tensor | None = None, threads: int | None = None
) -> tuple[Tensor, Tensor]:
    """The k least (distance, index) of each query: int32 and int64 [Q, k], padded with (INT32_MAX, -1) where fewer than
    k positions are ``allowed`` (bool [N])."""
    result: tuple[Tensor, Tensor] = _topk(queries, database, k, allowed, thread_argument(threads))
    return result


def range_search(
    queries: Tensor, database: Tensor, radius: int, threads: int | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """All within ``radius``: offsets int64 [Q + 1], distances int32 and indices int64, by (distance, index) a query."""
    result: tuple[Tensor, Tensor, Tensor] = _range_search(queries, database, radius, thread_argument(threads))
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
    stream = torch.cuda.current_stream(queries.device).cuda_stream
    kernel(*pair_arguments(queries, database), out.data_ptr(), out.element_size(), queries.device.index, stream)
    return out


def _distance_output(queries: Tensor, database: Tensor, dtype: torch.dtype) -> Tensor:
    if dtype not in DISTANCE_DTYPES:
        raise TypeError(f"dtype must be uint8, int16 or int32, got {dtype}")
    return queries.new_empty((queries.shape[0], database.shape[0]), dtype=dtype)


def _hamming_distance_fake(queries: Tensor, database: Tensor, dtype: torch.dtype, threads: int) -> Tensor:
    return queries.new_empty((queries.shape[0], database.shape[0]), dtype=dtype)


def _topk_cpu(queries: Tensor, database: Tensor, k: int, allowed: Tensor | None, threads: int) -> tuple[Tensor, Tensor]:
    queries, database = code_rows(queries, database)
    if not 1 <= k <= database.shape[0]:
        raise ValueError(f"k must be in 1..{database.shape[0]}, got {k}")
    if allowed is not None:
        if allowed.dtype != torch.bool or allowed.shape != (database.shape[0],):
            raise ValueError(f"allowed must be bool [{database.shape[0]}], got {allowed.dtype} {tuple(allowed.shape)}")
        allowed = allowed.contiguous()
    kernel = _loader.cpu_kernel("topk")
    if kernel is None:
        return reference.topk(queries, database, k, allowed)
    distances, indices = _topk_fake(queries, database, k, allowed, threads)
    kernel(
        *pair_arguments(queries, database),
        k,
        0 if allowed is None else allowed.data_ptr(),
        distances.data_ptr(),
        indices.data_ptr(),
        thread_count(threads),
    )
    return distances, indices


def _topk_cuda(
    queries: Tensor, database: Tensor, k: int, allowed: Tensor | None, threads: int
) -> tuple[Tensor, Tensor]:
    _loader.cuda_kernel("cuda_topk")
    return reference.topk(queries, database, k, allowed)


def _topk_fake(
    queries: Tensor, database: Tensor, k: int, allowed: Tensor | None, threads: int
) -> tuple[Tensor, Tensor]:
    shape = (queries.shape[0], k)
    return queries.new_empty(shape, dtype=torch.int32), queries.new_empty(shape, dtype=torch.int64)


def _range_search_cpu(queries: Tensor, database: Tensor, radius: int, threads: int) -> tuple[Tensor, Tensor, Tensor]:
    queries, database = code_rows(queries, database)
    count, fill = _loader.cpu_kernel("range_count"), _loader.cpu_kernel("range_fill")
    if count is None or fill is None:
        return reference.range_search(queries, database, radius)
    pair = pair_arguments(queries, database)
    counts = queries.new_empty(queries.shape[0], dtype=torch.int64)
    count(*pair, radius, counts.data_ptr(), thread_count(threads))
    offsets = queries.new_zeros(queries.shape[0] + 1, dtype=torch.int64)
    torch.cumsum(counts, 0, out=offsets[1:])
    total = int(offsets[-1])
    distances = queries.new_empty(total, dtype=torch.int32)
    indices = queries.new_empty(total, dtype=torch.int64)
    fill(
        *pair,
        radius,
        offsets.data_ptr(),
        distances.data_ptr(),
        indices.data_ptr(),
        thread_count(threads),
    )
    return offsets, distances, indices


def _range_search_cuda(queries: Tensor, database: Tensor, radius: int, threads: int) -> tuple[Tensor, Tensor, Tensor]:
    _loader.cuda_kernel("cuda_range_search")
    return reference.range_search(queries, database, radius)


def _range_search_fake(queries: Tensor, database: Tensor, radius: int, threads: int) -> tuple[Tensor, Tensor, Tensor]:
    total = torch.library.get_ctx().new_dynamic_size()
    return (
        queries.new_empty(queries.shape[0] + 1, dtype=torch.int64),
        queries.new_empty(total, dtype=torch.int32),
        queries.new_empty(total, dtype=torch.int64),
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
