"""Ops over codes stored bit-sliced, in planes int64 [blocks, 8 W, 8] on the CPU; a block holds 512 codes of W bytes."""

from __future__ import annotations

import torch
from torch import Tensor

from hashkernels import _loader, _validation, reference
from hashkernels._ops._library import define, row_stride, rows, thread_argument, thread_count
from hashkernels._ops.search import (
    address,
    call_range_search,
    call_topk,
    check_range,
    check_topk,
    empty_topk,
    fake_ranges,
    range_count_fake,
)

BLOCK_CODES = reference.BLOCK_CODES


def has_sliced_search() -> bool:
    """Whether kernels read planes. Where the reference answers, it has to make codes of them first."""
    return _loader.cpu_kernel("sliced_topk") is not None


def slice_codes(codes: Tensor, first: int, planes: Tensor, threads: int | None = None) -> None:
    """Write uint8 [n, W] at positions first, first + 1, ...; the positions behind, up to the end of the last block
    written to, become unspecified."""
    _slice_codes(codes, first, planes, thread_argument(threads))


def gather_codes(planes: Tensor, positions: Tensor) -> Tensor:
    """The codes at positions int64 [n], uint8 [n, W]."""
    codes: Tensor = _gather_codes(planes, positions)
    return codes


def sliced_topk(
    queries: Tensor, planes: Tensor, count: int, k: int, allowed: Tensor | None = None, threads: int | None = None
) -> tuple[Tensor, Tensor]:
    """``topk`` over the codes at positions 0..count-1."""
    result: tuple[Tensor, Tensor] = _sliced_topk(queries, planes, count, k, allowed, thread_argument(threads))
    return result


def sliced_range_search(
    queries: Tensor,
    planes: Tensor,
    count: int,
    radius: int,
    allowed: Tensor | None = None,
    max_results: int | None = None,
    threads: int | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """``range_search`` over the codes at positions 0..count-1."""
    result: tuple[Tensor, Tensor, Tensor, Tensor] = _sliced_range_search(
        queries, planes, count, radius, allowed, max_results, thread_argument(threads)
    )
    return result


def sliced_range_count(
    queries: Tensor,
    planes: Tensor,
    count: int,
    radius: int,
    allowed: Tensor | None = None,
    threads: int | None = None,
) -> Tensor:
    """``range_count`` over the codes at positions 0..count-1."""
    counts: Tensor = _sliced_range_count(queries, planes, count, radius, allowed, thread_argument(threads))
    return counts


def search_method(sliced: bool, num_bytes: int, num_queries: int, num_codes: int, threads: int | None = None) -> str:
    """How a search runs: "rows", "planes" or "sums" in native code (see csrc/include/hashkernels/index.h), or
    "reference"."""
    kernel = _loader.cpu_kernel("search_method")
    if kernel is None:
        return _loader.REFERENCE
    threads = thread_count(thread_argument(threads))
    return str(kernel(sliced, num_bytes, max(num_queries, 1), max(num_codes, 1), threads))


def most_hash_work(num_bytes: int, num_queries: int, num_codes: int, threads: int | None) -> float:
    """What a query may take through hash tables until a native search through planes would be faster, in nanoseconds of
    one core."""
    kernel = _loader.cpu_kernel("most_hash_work")
    assert kernel is not None
    return float(kernel(num_bytes, max(num_queries, 1), max(num_codes, 1), thread_count(thread_argument(threads))))


def check_planes(planes: Tensor, count: int) -> int:
    """Refuses what kernels cannot read ``count`` codes from; returns the bytes a code."""
    if planes.dtype != torch.int64 or planes.ndim != 3 or planes.shape[1] % 8 or planes.shape[2] != 8:
        got = f"{_validation.dtype_name(planes.dtype)} {tuple(planes.shape)}"
        raise ValueError(f"planes must be int64 [blocks, 8 W, 8], got {got}")
    if not (planes.is_cpu and planes.is_contiguous()):
        raise ValueError(f"planes must be contiguous on cpu, got strides {planes.stride()} on {planes.device}")
    if not 0 <= count <= planes.shape[0] * BLOCK_CODES:
        raise ValueError(f"planes must hold {count} codes, got {planes.shape[0]} blocks of {BLOCK_CODES}")
    return planes.shape[1] // 8


def _code_rows(name: str, codes: Tensor, planes: Tensor, count: int) -> Tensor:
    """Codes as the pointer contract wants them, as wide as those of the planes."""
    codes, num_bytes = rows(name, codes, torch.uint8), check_planes(planes, count)
    if codes.shape[1] != num_bytes:
        raise ValueError(f"{name} must have {num_bytes} bytes a code like planes, got {codes.shape[1]}")
    _validation.check_same_device("planes", planes, name, codes)
    return codes


def _pair_arguments(queries: Tensor, planes: Tensor, count: int) -> tuple[int, int, int, int, int, int]:
    """The six leading arguments of every kernel that searches planes."""
    return (queries.data_ptr(), queries.shape[0], row_stride(queries), planes.data_ptr(), count, queries.shape[1])


def _slice_codes_cpu(codes: Tensor, first: int, planes: Tensor, threads: int) -> None:
    if first < 0:
        raise ValueError(f"first must be at least 0, got {first}")
    codes = _code_rows("codes", codes, planes, first + codes.shape[0])
    kernel = _loader.cpu_kernel("slice_codes")
    if kernel is None:
        reference.slice_codes(codes, first, planes)
        return
    num_codes, num_bytes = codes.shape
    kernel(codes.data_ptr(), num_codes, row_stride(codes), num_bytes, first, planes.data_ptr(), thread_count(threads))


def _slice_codes_fake(codes: Tensor, first: int, planes: Tensor, threads: int) -> None:
    return None


def _gather_codes_cpu(planes: Tensor, positions: Tensor) -> Tensor:
    num_bytes = check_planes(planes, 0)
    if positions.dtype != torch.int64:
        raise TypeError(f"positions must be int64, got {_validation.dtype_name(positions.dtype)}")
    # Looked at here again: the caller's check leaves out tensors whose values it may not see.
    positions = _validation.check_positions("positions", positions, planes.shape[0] * BLOCK_CODES).contiguous()
    _validation.check_same_device("planes", planes, "positions", positions)
    kernel = _loader.cpu_kernel("gather_codes")
    if kernel is None:
        return reference.unslice_codes(planes)[positions]
    codes = _gather_codes_fake(planes, positions)
    kernel(planes.data_ptr(), num_bytes, positions.data_ptr(), len(positions), codes.data_ptr(), num_bytes)
    return codes


def _gather_codes_fake(planes: Tensor, positions: Tensor) -> Tensor:
    return planes.new_empty((positions.shape[0], planes.shape[1] // 8), dtype=torch.uint8)


def _sliced_topk_cpu(
    queries: Tensor, planes: Tensor, count: int, k: int, allowed: Tensor | None, threads: int
) -> tuple[Tensor, Tensor]:
    queries = _code_rows("queries", queries, planes, count)
    allowed = check_topk(queries, count, k, allowed)
    kernel = _loader.cpu_kernel("sliced_topk")
    if kernel is None:
        return reference.topk(queries, reference.unslice_codes(planes)[:count], k, allowed)
    return call_topk(kernel, _pair_arguments(queries, planes, count), queries, k, allowed, threads)


def _sliced_topk_fake(
    queries: Tensor, planes: Tensor, count: int, k: int, allowed: Tensor | None, threads: int
) -> tuple[Tensor, Tensor]:
    return empty_topk(queries, k)


def _sliced_range_search_cpu(
    queries: Tensor,
    planes: Tensor,
    count: int,
    radius: int,
    allowed: Tensor | None,
    max_results: int | None,
    threads: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    queries = _code_rows("queries", queries, planes, count)
    allowed = check_range(queries, count, radius, allowed, max_results)
    kernel = _loader.cpu_kernel("sliced_range_search")
    if kernel is None:
        return reference.range_search(queries, reference.unslice_codes(planes)[:count], radius, allowed, max_results)
    return call_range_search(
        kernel, _pair_arguments(queries, planes, count), queries, radius, allowed, max_results, threads
    )


def _sliced_range_search_fake(
    queries: Tensor,
    planes: Tensor,
    count: int,
    radius: int,
    allowed: Tensor | None,
    max_results: int | None,
    threads: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return fake_ranges(queries)


def _sliced_range_count_cpu(
    queries: Tensor, planes: Tensor, count: int, radius: int, allowed: Tensor | None, threads: int
) -> Tensor:
    queries = _code_rows("queries", queries, planes, count)
    allowed = check_range(queries, count, radius, allowed)
    kernel = _loader.cpu_kernel("sliced_range_count")
    if kernel is None:
        return reference.range_count(queries, reference.unslice_codes(planes)[:count], radius, allowed)
    counts = range_count_fake(queries)
    arguments = _pair_arguments(queries, planes, count)
    kernel(*arguments, radius, address(allowed), counts.data_ptr(), thread_count(threads))
    return counts


_slice_codes = define(
    "slice_codes(Tensor codes, SymInt first, Tensor(a!) planes, int threads) -> ()",
    cpu=_slice_codes_cpu,
    fake=_slice_codes_fake,
)
_gather_codes = define(
    "gather_codes(Tensor planes, Tensor positions) -> Tensor", cpu=_gather_codes_cpu, fake=_gather_codes_fake
)
_sliced_topk = define(
    "sliced_topk(Tensor queries, Tensor planes, SymInt count, SymInt k, Tensor? allowed, int threads)"
    " -> (Tensor, Tensor)",
    cpu=_sliced_topk_cpu,
    fake=_sliced_topk_fake,
)
_sliced_range_search = define(
    "sliced_range_search(Tensor queries, Tensor planes, SymInt count, int radius, Tensor? allowed, SymInt? max_results,"
    " int threads) -> (Tensor, Tensor, Tensor, Tensor)",
    cpu=_sliced_range_search_cpu,
    fake=_sliced_range_search_fake,
)
_sliced_range_count = define(
    "sliced_range_count(Tensor queries, Tensor planes, SymInt count, int radius, Tensor? allowed, int threads)"
    " -> Tensor",
    cpu=_sliced_range_count_cpu,
    fake=range_count_fake,
)
