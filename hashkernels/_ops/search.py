"""Ops that compare packed codes: distances, the k nearest, everything within a radius."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from hashkernels import _loader, _validation, reference
from hashkernels._ops import binary_products, streaming
from hashkernels._ops._library import (
    code_rows,
    cuda_arguments,
    define,
    empty_on_huge_pages,
    pair_arguments,
    query_parts,
    thread_argument,
    thread_count,
    workspace,
)

DISTANCE_DTYPES = (torch.uint8, torch.int16, torch.int32)


def device_search_method() -> str:
    """How codes on a GPU are searched: "cuda", or "reference" where no kernel is built."""
    return _loader.REFERENCE if _loader.cuda_kernel("cuda_topk") is None else "cuda"


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
    queries: Tensor,
    database: Tensor,
    radius: int,
    allowed: Tensor | None = None,
    max_results: int | None = None,
    threads: int | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """All within ``radius``, or the ``max_results`` nearest of them: offsets int64 [Q + 1], distances int32 and indices
    int64, by (distance, index) a query, and counts int64 [Q] of all that are within. ``allowed`` as in ``topk``."""
    if streaming.streams(queries, database):
        return streaming.range_search(
            queries,
            database,
            allowed,
            max_results,
            lambda part, within: range_search(queries, part, radius, within, max_results, threads),
        )
    result: tuple[Tensor, Tensor, Tensor, Tensor] = _range_search(
        queries, database, radius, allowed, max_results, thread_argument(threads)
    )
    return result


def range_count(
    queries: Tensor, database: Tensor, radius: int, allowed: Tensor | None = None, threads: int | None = None
) -> Tensor:
    """How many codes lie within ``radius`` of each query, int64 [Q]. ``allowed`` as in ``topk``."""
    if streaming.streams(queries, database):
        return streaming.range_count(
            queries, database, allowed, lambda part, within: range_count(queries, part, radius, within, threads)
        )
    counts: Tensor = _range_count(queries, database, radius, allowed, thread_argument(threads))
    return counts


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
        raise TypeError(f"dtype must be uint8, int16 or int32, got {_validation.dtype_name(dtype)}")
    return queries.new_empty((queries.shape[0], database.shape[0]), dtype=dtype)


def _hamming_distance_fake(queries: Tensor, database: Tensor, dtype: torch.dtype, threads: int) -> Tensor:
    return queries.new_empty((queries.shape[0], database.shape[0]), dtype=dtype)


def check_topk(queries: Tensor, num_database: int, k: int, allowed: Tensor | None) -> Tensor | None:
    """``allowed`` as the pointer contract wants it."""
    if not 1 <= k <= num_database:
        raise ValueError(f"k must be in 1..{num_database}, got {k}")
    return check_allowed(queries, num_database, allowed)


def check_allowed(queries: Tensor, num_database: int, allowed: Tensor | None) -> Tensor | None:
    """A mask of the database as the pointer contract wants it."""
    if allowed is None:
        return None
    if allowed.dtype != torch.bool or allowed.shape != (num_database,):
        got = f"{_validation.dtype_name(allowed.dtype)} {tuple(allowed.shape)}"
        raise ValueError(f"allowed must be bool [{num_database}], got {got}")
    _validation.check_same_device("queries", queries, "allowed", allowed)
    return allowed.contiguous()


def call_topk(
    kernel: Callable[..., Any], pair: tuple[int, ...], queries: Tensor, k: int, allowed: Tensor | None, threads: int
) -> tuple[Tensor, Tensor]:
    """The results of a CPU kernel whose leading arguments are ``pair``."""
    shape = (queries.shape[0], k)
    distances, indices = empty_on_huge_pages(shape, torch.int32), empty_on_huge_pages(shape, torch.int64)
    kernel(*pair, k, address(allowed), distances.data_ptr(), indices.data_ptr(), thread_count(threads))
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

    def search(
        queries: Tensor, database: Tensor, k: int, portable: bool, allowed: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        def num_values(num_queries: int) -> int:
            return int(sizes(num_queries, database.shape[0], database.shape[1], k))

        distances, indices = empty_topk(queries, k)
        for part in query_parts(queries.shape[0], num_values):
            space = workspace(queries, num_values(part.stop - part.start))
            kernel(
                *pair_arguments(queries[part], database),
                k,
                address(allowed),
                portable,
                distances[part].data_ptr(),
                indices[part].data_ptr(),
                space.data_ptr(),
                *cuda_arguments(queries),
            )
        return distances, indices

    return search(queries, database, k, not binary_products.agree(queries.device, search), allowed)


def _topk_fake(
    queries: Tensor, database: Tensor, k: int, allowed: Tensor | None, threads: int
) -> tuple[Tensor, Tensor]:
    return empty_topk(queries, k)


def empty_topk(queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Room for the results of a top-k search."""
    shape = (queries.shape[0], k)
    return queries.new_empty(shape, dtype=torch.int32), queries.new_empty(shape, dtype=torch.int64)


def address(tensor: Tensor | None) -> int:
    """Where the elements lie; 0 stands for none."""
    return 0 if tensor is None else tensor.data_ptr()


def call_range_search(
    kernel: Callable[..., Any],
    pair: tuple[int, ...],
    queries: Tensor,
    radius: int,
    allowed: Tensor | None,
    max_results: int | None,
    threads: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The results of a CPU kernel whose leading arguments are ``pair``."""
    return ranges_of(kernel(*pair, radius, max_results or 0, address(allowed), thread_count(threads)), queries, threads)


def ranges_of(finds: Any, queries: Tensor, threads: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What a CPU kernel found, as ``range_search`` returns it."""
    num_queries = queries.shape[0]
    offsets = empty_on_huge_pages((num_queries + 1,), torch.int64)
    counts = empty_on_huge_pages((num_queries,), torch.int64)
    total = finds.ranges(num_queries, offsets.data_ptr(), counts.data_ptr())
    distances, indices = empty_on_huge_pages((total,), torch.int32), empty_on_huge_pages((total,), torch.int64)
    finds.write(distances.data_ptr(), indices.data_ptr(), thread_count(threads))
    return offsets, distances, indices, counts


def empty_ranges(queries: Tensor, total: int | torch.SymInt) -> tuple[Tensor, Tensor]:
    """Room for the distances and indices of a range search."""
    return queries.new_empty(total, dtype=torch.int32), queries.new_empty(total, dtype=torch.int64)


def check_range(
    queries: Tensor, num_database: int, radius: int, allowed: Tensor | None, max_results: int | None = None
) -> Tensor | None:
    """Refuses what a kernel cannot search within; returns ``allowed`` as it reads it."""
    _validation.check_int("radius", radius, 0)
    if max_results is not None:
        _validation.check_int("max_results", max_results, 1)
    return check_allowed(queries, num_database, allowed)


def _range_search_cpu(
    queries: Tensor, database: Tensor, radius: int, allowed: Tensor | None, max_results: int | None, threads: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    queries, database = code_rows(queries, database)
    allowed = check_range(queries, database.shape[0], radius, allowed, max_results)
    kernel = _loader.cpu_kernel("range_search")
    if kernel is None:
        return reference.range_search(queries, database, radius, allowed, max_results)
    return call_range_search(kernel, pair_arguments(queries, database), queries, radius, allowed, max_results, threads)


def _range_search_cuda(
    queries: Tensor, database: Tensor, radius: int, allowed: Tensor | None, max_results: int | None, threads: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    queries, database = code_rows(queries, database)
    allowed = check_range(queries, database.shape[0], radius, allowed, max_results)
    count, fill = _loader.cuda_kernel("cuda_range_count"), _loader.cuda_kernel("cuda_range_fill")
    sizes = _loader.cuda_kernel("cuda_range_workspace")
    if count is None or fill is None or sizes is None or database.shape[0] == 0:
        return reference.range_search(queries, database, radius, allowed, max_results)
    if max_results is not None:
        # Rows of a fixed size hold no more than what is wanted, however much is near.
        max_results = min(max_results, database.shape[0])
        counts, near_distances, near_indices = _nearest_on_cuda(queries, database, radius, max_results, allowed)
        near_distances, near_indices = near_distances.view(-1), near_indices.view(-1)
        found = (near_indices >= 0).nonzero()[:, 0]  # how many, is waited for once
        return _offsets(counts.clamp(max=max_results)), near_distances[found], near_indices[found], counts
    # Every part keeps its workspace from counting to filling; only the size of the result is waited for.
    device = cuda_arguments(queries)
    counts = queries.new_empty(queries.shape[0], dtype=torch.int64)
    parts = list(query_parts(queries.shape[0], lambda n: int(sizes(n, database.shape[0], database.shape[1], radius))))
    spaces = []
    for part in parts:
        space = workspace(queries, sizes(part.stop - part.start, database.shape[0], database.shape[1], radius))
        pair = pair_arguments(queries[part], database)
        count(*pair, radius, address(allowed), counts[part].data_ptr(), space.data_ptr(), *device)
        spaces.append(space)
    offsets = _offsets(counts)
    distances, indices = empty_ranges(queries, int(offsets[-1]))
    for part, space in zip(parts, spaces, strict=True):
        fill(
            *pair_arguments(queries[part], database),
            radius,
            address(allowed),
            offsets[part].data_ptr(),
            distances.data_ptr(),
            indices.data_ptr(),
            space.data_ptr(),
            *device,
        )
    return offsets, distances, indices, counts


def _offsets(counts: Tensor) -> Tensor:
    return torch.cat((counts.new_zeros(1), counts.cumsum(0)))


def _range_search_fake(
    queries: Tensor, database: Tensor, radius: int, allowed: Tensor | None, max_results: int | None, threads: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return fake_ranges(queries)


def fake_ranges(queries: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What a range search returns, its size unknown."""
    offsets = queries.new_empty(queries.shape[0] + 1, dtype=torch.int64)
    counts = queries.new_empty(queries.shape[0], dtype=torch.int64)
    return offsets, *empty_ranges(queries, torch.library.get_ctx().new_dynamic_size()), counts


def _range_count_cpu(queries: Tensor, database: Tensor, radius: int, allowed: Tensor | None, threads: int) -> Tensor:
    queries, database = code_rows(queries, database)
    allowed = check_range(queries, database.shape[0], radius, allowed)
    kernel = _loader.cpu_kernel("range_count")
    if kernel is None:
        return reference.range_count(queries, database, radius, allowed)
    counts = range_count_fake(queries)
    kernel(*pair_arguments(queries, database), radius, address(allowed), counts.data_ptr(), thread_count(threads))
    return counts


def _range_count_cuda(queries: Tensor, database: Tensor, radius: int, allowed: Tensor | None, threads: int) -> Tensor:
    queries, database = code_rows(queries, database)
    allowed = check_range(queries, database.shape[0], radius, allowed)
    count, sizes = _loader.cuda_kernel("cuda_range_count"), _loader.cuda_kernel("cuda_range_workspace")
    if count is None or sizes is None or database.shape[0] == 0:
        return reference.range_count(queries, database, radius, allowed)

    def num_values(num_queries: int) -> int:
        return int(sizes(num_queries, database.shape[0], database.shape[1], radius))

    counts = range_count_fake(queries)
    for part in query_parts(queries.shape[0], num_values):
        space = workspace(queries, num_values(part.stop - part.start))
        pair = pair_arguments(queries[part], database)
        count(*pair, radius, address(allowed), counts[part].data_ptr(), space.data_ptr(), *cuda_arguments(queries))
    return counts


def range_count_fake(queries: Tensor, *_: Any) -> Tensor:
    """Room for the counts of a range search."""
    return queries.new_empty(queries.shape[0], dtype=torch.int64)


def _range_nearest_cpu(
    queries: Tensor, database: Tensor, radius: int, max_results: int, threads: int
) -> tuple[Tensor, Tensor, Tensor]:
    if max_results == 0:
        counts = _range_count(queries, database, radius, None, threads)
        return counts, *_range_nearest_fake(queries, database, radius, max_results, threads)[1:]
    offsets, found_distances, found_indices, counts = _range_search(
        queries, database, radius, None, max_results, threads
    )
    _, distances, indices = _range_nearest_fake(queries, database, radius, max_results, threads)
    distances.fill_(torch.iinfo(torch.int32).max)
    indices.fill_(-1)
    filled = torch.arange(max_results, device=queries.device) < offsets.diff()[:, None]
    distances[filled] = found_distances
    indices[filled] = found_indices
    return counts, distances, indices


def _range_nearest_cuda(
    queries: Tensor, database: Tensor, radius: int, max_results: int, threads: int
) -> tuple[Tensor, Tensor, Tensor]:
    queries, database = code_rows(queries, database)
    if _loader.cuda_kernel("cuda_range_nearest") is None or database.shape[0] == 0 or max_results == 0:
        return _range_nearest_cpu(queries, database, radius, max_results, threads)
    return _nearest_on_cuda(queries, database, radius, max_results, None)


def _nearest_on_cuda(
    queries: Tensor, database: Tensor, radius: int, max_results: int, allowed: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    kernel, sizes = _loader.cuda_kernel("cuda_range_nearest"), _loader.cuda_kernel("cuda_range_workspace")
    assert kernel is not None
    assert sizes is not None

    def num_values(num_queries: int) -> int:
        return int(sizes(num_queries, database.shape[0], database.shape[1], radius))

    counts, distances, indices = _range_nearest_fake(queries, database, radius, max_results, 0)
    for part in query_parts(queries.shape[0], num_values):
        space = workspace(queries, num_values(part.stop - part.start))
        kernel(
            *pair_arguments(queries[part], database),
            radius,
            max_results,
            address(allowed),
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
    "range_search(Tensor queries, Tensor database, int radius, Tensor? allowed, SymInt? max_results, int threads)"
    " -> (Tensor, Tensor, Tensor, Tensor)",
    cpu=_range_search_cpu,
    cuda=_range_search_cuda,
    fake=_range_search_fake,
)
_range_count = define(
    "range_count(Tensor queries, Tensor database, int radius, Tensor? allowed, int threads) -> Tensor",
    cpu=_range_count_cpu,
    cuda=_range_count_cuda,
    fake=range_count_fake,
)
_range_nearest = define(
    "range_nearest(Tensor queries, Tensor database, int radius, SymInt max_results, int threads)"
    " -> (Tensor, Tensor, Tensor)",
    cpu=_range_nearest_cpu,
    cuda=_range_nearest_cuda,
    fake=_range_nearest_fake,
)
