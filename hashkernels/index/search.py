"""Distances, the k nearest and all within a radius, over packed codes in memory."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Generic, Literal, NamedTuple, overload

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hashkernels import _ops
from hashkernels._arrays import ArrayT, like, to_tensor, to_tensors
from hashkernels._unpacked import may_be_unpacked, warn_of_unpacked
from hashkernels._validation import check_choice, check_code_pair, check_filter, check_int, check_same_device
from hashkernels.index.plain import as_array, in_kind_of, is_plain_search, plain_queries

_MANY = 1 << 22  # pairs, whose search takes many times as long as a look at some codes
_DISTANCE_DTYPES = {"uint8": torch.uint8, "int16": torch.int16, "int32": torch.int32}


class SearchResult(NamedTuple, Generic[ArrayT]):
    """The nearest codes of each query, by (distance, index)."""

    distances: ArrayT  # int32 [Q, k]
    indices: ArrayT  # int64 [Q, k]


class RangeResult(NamedTuple, Generic[ArrayT]):
    """All codes within a radius: those of query q are at ``offsets[q]:offsets[q + 1]``, by (distance, index)."""

    offsets: ArrayT  # int64 [Q + 1]
    distances: ArrayT  # int32 [offsets[-1]]
    indices: ArrayT  # int64 [offsets[-1]]


class RangeRow(NamedTuple, Generic[ArrayT]):
    """All codes within a radius of one query, by (distance, index)."""

    distances: ArrayT  # int32 [n]
    indices: ArrayT  # int64 [n]


class LimitedRangeResult(NamedTuple, Generic[ArrayT]):
    """The nearest codes within a radius, and how many there are: row q was cut where ``counts[q]`` is larger than
    ``offsets[q + 1] - offsets[q]``."""

    offsets: ArrayT  # int64 [Q + 1]
    distances: ArrayT  # int32 [offsets[-1]]
    indices: ArrayT  # int64 [offsets[-1]]
    counts: ArrayT  # int64 [Q]


class NearestWithin(NamedTuple, Generic[ArrayT]):
    """The nearest codes within a radius, padded with (2**31 - 1, -1), and how many there are."""

    distances: ArrayT  # int32 [Q, max_results]
    indices: ArrayT  # int64 [Q, max_results]
    counts: ArrayT  # int64 [Q]


def hamming_distance(
    queries: ArrayT,
    database: ArrayT,
    *,
    bits: int | None = None,
    dtype: Literal["uint8", "int16", "int32"] = "int32",
    threads: int | None = None,
) -> ArrayT:
    """The number of bits in which each query differs from each database code.

    Args:
        queries: uint8 [Q, W] packed codes, a tensor of any device or a NumPy array; rows may be strided.
        database: uint8 [N, W], N >= 1, of the same kind and on the same device.
        bits: the length of a code; given, the pad bits are checked to be zero (on a GPU only after
            ``hashkernels.validate(True)``). Default: all, 8 W.
        dtype: of the result; "uint8" holds distances of codes up to 255 bits.
        threads: how many threads to use; default ``hashkernels.get_num_threads()``.

    Returns:
        [Q, N] of ``dtype``, of the same kind and on the same device as ``queries``.

    Raises:
        ValueError: widths or devices differ, pad bits are set, the database is empty, or ``dtype`` is too small.
        TypeError: codes are not uint8, or one argument is a tensor and the other a NumPy array.

    >>> import numpy as np
    >>> hamming_distance(np.array([[0b1010]], np.uint8), np.array([[0b1010], [0b0110]], np.uint8))
    array([[0, 2]], dtype=int32)
    """
    query_codes, database_codes = to_tensors(queries=queries, database=database)
    num_bits = check_code_pair(query_codes, database_codes, bits)
    check_choice("dtype", dtype, _DISTANCE_DTYPES)
    most = torch.iinfo(_DISTANCE_DTYPES[dtype]).max
    if num_bits > most:
        raise ValueError(f"dtype {dtype} holds distances up to {most}, got codes of {num_bits} bits")
    distances = _ops.hamming_distance(query_codes, database_codes, _DISTANCE_DTYPES[dtype], threads)
    return like(queries, distances)


@overload
def topk(
    queries: ArrayT,
    database: ArrayT,
    k: int,
    *,
    bits: int | None = None,
    filter: ArrayT | None = None,
    threads: int | None = None,
    explain: Literal[False] = False,
) -> SearchResult[ArrayT]: ...
@overload
def topk(
    queries: ArrayT,
    database: ArrayT,
    k: int,
    *,
    bits: int | None = None,
    filter: ArrayT | None = None,
    threads: int | None = None,
    explain: Literal[True],
) -> str: ...
def topk(
    queries: ArrayT,
    database: ArrayT,
    k: int,
    *,
    bits: int | None = None,
    filter: ArrayT | None = None,
    threads: int | None = None,
    explain: bool = False,
) -> SearchResult[ArrayT] | str:
    """The k nearest database codes of each query; of equal distances the lowest index comes first.

    Args:
        queries: uint8 [Q, W] packed codes, a tensor of any device or a NumPy array; rows may be strided.
        database: uint8 [N, W], N >= 1, of the same kind and on the same device.
        k: in 1..N.
        bits: the length of a code; given, the pad bits are checked to be zero (on a GPU only after
            ``hashkernels.validate(True)``). Default: all, 8 W.
        filter: the positions that may be found: bool [N], or integers in 0..N-1 in any order (on a GPU positions beyond
            are ignored unless ``hashkernels.validate(True)``). Default: all.
        threads: how many threads to use; default ``hashkernels.get_num_threads()``.
        explain: check the arguments and say how the search would run, without running it.

    Returns:
        ``SearchResult(distances, indices)``, int32 and int64 [Q, k], of the same kind and on the same device as
        ``queries``. Where the filter leaves fewer than k, rows end in (2147483647, -1). With ``explain`` a str: "rows"
        (few queries or few codes: compared one by one), "sums" (many queries: each block of codes is brought
        into planes of bits, of which one table of sums serves all), "cuda" or "reference" (torch).

    Raises:
        ValueError: widths or devices differ, pad bits are set, the database is empty, ``k`` or a position of
            ``filter`` is out of range.
        TypeError: codes are not uint8, or tensors and NumPy arrays are mixed.

    >>> import numpy as np
    >>> database = np.array([[0b0110], [0b1011], [0b0000], [0b1000]], np.uint8)
    >>> topk(np.array([[0b1010]], np.uint8), database, 3)
    SearchResult(distances=array([[1, 1, 2]], dtype=int32), indices=array([[1, 3, 0]]))
    """
    if bits is None and filter is None and not explain:
        plain = _at_once("topk", queries, database, k, threads)
        if plain is not None:
            return SearchResult(*plain)
    query_codes, database_codes, _ = _checked_pair(queries, database, bits)
    num_database = database_codes.shape[0]
    k = check_int("k", k, 1, num_database)
    allowed = allowed_mask(queries, filter, num_database)
    if explain:
        return _method(query_codes, database_codes, threads)
    distances, indices = _ops.topk(query_codes, database_codes, k, allowed, threads)
    return SearchResult(like(queries, distances), like(queries, indices))


@overload
def range_search(
    queries: ArrayT,
    database: ArrayT,
    radius: int,
    *,
    bits: int | None = None,
    filter: ArrayT | None = None,
    max_results: None = None,
    threads: int | None = None,
    explain: Literal[False] = False,
) -> RangeResult[ArrayT]: ...
@overload
def range_search(
    queries: ArrayT,
    database: ArrayT,
    radius: int,
    *,
    bits: int | None = None,
    filter: ArrayT | None = None,
    max_results: int,
    threads: int | None = None,
    explain: Literal[False] = False,
) -> LimitedRangeResult[ArrayT]: ...
@overload
def range_search(
    queries: ArrayT,
    database: ArrayT,
    radius: int,
    *,
    bits: int | None = None,
    filter: ArrayT | None = None,
    max_results: int | None = None,
    threads: int | None = None,
    explain: Literal[True],
) -> str: ...
def range_search(
    queries: ArrayT,
    database: ArrayT,
    radius: int,
    *,
    bits: int | None = None,
    filter: ArrayT | None = None,
    max_results: int | None = None,
    threads: int | None = None,
    explain: bool = False,
) -> RangeResult[ArrayT] | LimitedRangeResult[ArrayT] | str:
    """All database codes within a Hamming distance of ``radius``, inclusive, of each query.

    Args:
        queries: uint8 [Q, W] packed codes, a tensor of any device or a NumPy array; rows may be strided.
        database: uint8 [N, W], N >= 1, of the same kind and on the same device.
        radius: in bits, in 0..``bits``.
        bits: the length of a code; given, the pad bits are checked to be zero (on a GPU only after
            ``hashkernels.validate(True)``). Default: all, 8 W.
        filter: the positions that may be found, as in ``topk``. Default: all.
        max_results: keep at most that many of each query, the nearest by (distance, index), so that one cluster of
            equal codes cannot fill the memory. At least 1. Default: keep all.
        threads: how many threads to use; default ``hashkernels.get_num_threads()``.
        explain: check the arguments and say how the search would run, as ``topk`` does.

    Returns:
        ``RangeResult(offsets, distances, indices)``: int64 [Q + 1], int32 and int64 [total], of the same kind and on
        the same device as ``queries``. Query q found ``indices[offsets[q]:offsets[q + 1]]``, by (distance, index).
        With ``max_results`` ``LimitedRangeResult(offsets, distances, indices, counts)``: ``counts``, int64 [Q], says
        how many lie within the radius, so query q was cut where ``counts[q] > max_results``.

    Raises:
        ValueError: widths or devices differ, pad bits are set, the database is empty, ``radius``, ``max_results`` or a
            position of ``filter`` is out of range.
        TypeError: codes are not uint8, or tensors and NumPy arrays are mixed.

    >>> import numpy as np
    >>> database = np.array([[0b0110], [0b1011], [0b0000], [0b1000]], np.uint8)
    >>> range_search(np.array([[0b1010], [0b0111]], np.uint8), database, 1)
    RangeResult(offsets=array([0, 2, 3]), distances=array([1, 1, 1], dtype=int32), indices=array([1, 3, 0]))
    >>> range_search(np.array([[0b1010], [0b0111]], np.uint8), database, 1, max_results=1).counts
    array([2, 1])
    """
    if bits is None and filter is None and max_results is None and not explain:
        plain = _at_once("range_search", queries, database, radius, threads)
        if plain is not None:
            return RangeResult(*plain)
    query_codes, database_codes, radius = _range_arguments(queries, database, radius, bits)
    allowed = allowed_mask(queries, filter, database_codes.shape[0])
    max_results = check_limit(max_results, database_codes.shape[0])
    if explain:
        return _method(query_codes, database_codes, threads)
    found = _ops.range_search(query_codes, database_codes, radius, allowed, max_results, threads)
    return range_result(queries, found, max_results)


def range_count(
    queries: ArrayT,
    database: ArrayT,
    radius: int,
    *,
    bits: int | None = None,
    filter: ArrayT | None = None,
    threads: int | None = None,
) -> ArrayT:
    """How many database codes lie within a Hamming distance of ``radius``, inclusive, of each query.

    What ``range_search`` would find is only counted: the memory does not depend on it.

    Args:
        queries, database, radius, bits, filter, threads: as in ``range_search``.

    Returns:
        int64 [Q], of the same kind and on the same device as ``queries``.

    Raises:
        ValueError, TypeError: as ``range_search``.

    >>> import numpy as np
    >>> database = np.array([[0b0110], [0b1011], [0b0000], [0b1000]], np.uint8)
    >>> range_count(np.array([[0b1010], [0b0111]], np.uint8), database, 1)
    array([2, 1])
    """
    if bits is None and filter is None:
        plain = _at_once("range_count", queries, database, radius, threads)
        if plain is not None:
            return plain[0]
    query_codes, database_codes, radius = _range_arguments(queries, database, radius, bits)
    allowed = allowed_mask(queries, filter, database_codes.shape[0])
    return like(queries, _ops.range_count(query_codes, database_codes, radius, allowed, threads))


def range_nearest(
    queries: ArrayT,
    database: ArrayT,
    radius: int,
    max_results: int,
    *,
    bits: int | None = None,
    threads: int | None = None,
) -> NearestWithin[ArrayT]:
    """The nearest codes within a Hamming distance of ``radius``, inclusive, in arrays of fixed size.

    ``range_search`` has to learn how many there are before it returns. This form never waits for a GPU, and can be
    captured in a CUDA graph.

    Args:
        queries, database, radius, bits, threads: as in ``range_search``.
        max_results: columns of the result, in 1..2147483647.

    Returns:
        Distances int32 and indices int64 [Q, max_results], by (distance, index) and padded with (2**31 - 1, -1), and
        counts int64 [Q] of all that are within: a row with ``counts > max_results`` was cut.

    Raises:
        ValueError, TypeError: as ``range_search``.

    >>> import numpy as np
    >>> database = np.array([[0b0110], [0b1011], [0b0000], [0b1000]], np.uint8)
    >>> found = range_nearest(np.array([[0b1010], [0b0111]], np.uint8), database, 1, max_results=2)
    >>> found.indices
    array([[ 1,  3],
           [ 0, -1]])
    >>> found.counts
    array([2, 1])
    """
    query_codes, database_codes, radius = _range_arguments(queries, database, radius, bits)
    max_results = check_int("max_results", max_results, 1, torch.iinfo(torch.int32).max)
    counts, distances, indices = _ops.range_nearest(query_codes, database_codes, radius, max_results, threads)
    return NearestWithin(like(queries, distances), like(queries, indices), like(queries, counts))


def check_limit(max_results: int | None, num_database: int) -> int | None:
    """``max_results`` of a range search; a limit beyond the number of codes is one of all."""
    return None if max_results is None else min(check_int("max_results", max_results, 1), num_database)


def range_result(
    queries: ArrayT, found: tuple[Tensor, Tensor, Tensor, Tensor], max_results: int | None
) -> RangeResult[ArrayT] | LimitedRangeResult[ArrayT]:
    """What a range op returned in the kind of ``queries``."""
    offsets, distances, indices = (like(queries, part) for part in found[:3])
    if max_results is None:
        return RangeResult(offsets, distances, indices)
    return LimitedRangeResult(offsets, distances, indices, like(queries, found[3]))


def range_rows(
    queries: ArrayT,
    num_queries: int,
    batch: int,
    search: Callable[[slice], tuple[Tensor, Tensor, Tensor, Tensor]],
) -> Iterator[RangeRow[ArrayT]]:
    """Rows in the kind of ``queries``; ``search`` is what a range op returns for a part of them, ``batch`` at most."""
    for first in range(0, num_queries, batch):
        offsets, distances, indices, _ = search(slice(first, first + batch))
        # Once for the batch: a row then costs two views, of NumPy's own where it can.
        found, names = like(queries, distances), like(queries, indices)
        for start, end in itertools.pairwise(offsets.tolist()):
            yield RangeRow(found[start:end], names[start:end])


def _at_once(
    search: _ops.PlainSearch, queries: ArrayT, database: ArrayT, number: int, threads: int | None
) -> list[ArrayT] | None:
    """What one native call finds, None where it takes the arguments not as they are."""
    codes = as_array(database) if type(database) is type(queries) and _ops.nobody_watches() else None
    if codes is None or codes.ndim != 2:
        return None
    count, num_bytes = codes.shape
    if not is_plain_search(search, number, count, 8 * num_bytes, threads):
        return None
    plain = plain_queries(search, queries, number, num_bytes)
    if plain is None or not _ops.are_plain_codes(codes, num_bytes, 0, 0):
        return None
    if len(plain) * count >= _MANY:
        _warn_of_unpacked(codes)
    return in_kind_of(queries, _ops.find_in_codes(search, plain, codes, number, threads))


def _checked_pair(queries: ArrayT, database: ArrayT, bits: int | None) -> tuple[Tensor, Tensor, int]:
    """Tensors of codes that fit together, and how many bits they have."""
    query_codes, database_codes = to_tensors(queries=queries, database=database)
    num_bits = check_code_pair(query_codes, database_codes, bits)
    if bits is None and not torch.compiler.is_compiling() and len(query_codes) * len(database_codes) >= _MANY:
        codes = as_array(database_codes) if _ops.nobody_watches() else None
        if codes is not None:
            _warn_of_unpacked(codes)
    return query_codes, database_codes, num_bits


def _warn_of_unpacked(database: npt.NDArray[np.uint8]) -> None:
    """Say that codes of a byte a bit take eight times the memory, and more of the time; for little work neither
    counts."""
    if may_be_unpacked(database):
        warn_of_unpacked("codes of database", to_tensor("database", database))


def _range_arguments(queries: ArrayT, database: ArrayT, radius: int, bits: int | None) -> tuple[Tensor, Tensor, int]:
    query_codes, database_codes, num_bits = _checked_pair(queries, database, bits)
    return query_codes, database_codes, check_int("radius", radius, 0, num_bits)


def _method(queries: Tensor, database: Tensor, threads: int | None) -> str:
    """How packed codes are searched, as ``explain`` names it."""
    if queries.device.type != "cpu":
        return _ops.device_search_method()
    return _ops.search_method(False, queries.shape[1], len(queries), len(database), threads)


def allowed_mask(queries: ArrayT, filter: ArrayT | None, num_database: int) -> Tensor | None:
    """The filter of a search, checked, as bool [num_database]; None allows all."""
    if filter is None:
        return None
    query_codes, chosen = to_tensors(queries=queries, filter=filter)
    chosen = check_filter("filter", chosen, num_database)
    check_same_device("queries", query_codes, "filter", chosen)
    if chosen.dtype == torch.bool:
        return chosen
    # One place more than needed takes what is out of range and could not be looked at, so nothing is written elsewhere.
    allowed = torch.zeros(num_database + 1, dtype=torch.bool, device=chosen.device)
    inside = (chosen >= 0) & (chosen < num_database)
    allowed[torch.where(inside, chosen, num_database)] = True
    return allowed[:num_database]
