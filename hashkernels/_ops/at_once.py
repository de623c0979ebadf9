"""Searches from NumPy arrays to NumPy arrays in one native call.

What a search of few codes or through tables takes is less than what tensors, checks and dispatch around it do.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from torch import Tensor

from hashkernels import _loader, reference
from hashkernels._ops._library import get_num_threads
from hashkernels._ops.hash_tables import HashTables
from hashkernels._ops.index import check_planes

_ROWS = 1024

PlainSearch = Literal["topk", "range_search", "range_count"]


def are_plain_codes(codes: npt.NDArray[Any], num_bytes: int, pad: int, results: int) -> bool:
    """Whether the searches below take an array as it is, for so many results each: uint8 rows [Q >= 1, num_bytes], the
    bytes of each side by side, without one of the bits ``pad`` in their last bytes, and few enough of them."""
    native = _loader.cpu_kernel("are_plain_codes")
    return native is not None and native(codes, num_bytes, pad, results)


class PlainPlanes:
    """The codes at positions 0..count-1 of planes (``index.py``)."""

    def __init__(self, planes: Tensor, count: int) -> None:
        self._planes, self._count = planes, count
        self._native: Any = None

    def find(self, search: PlainSearch, queries: npt.NDArray[Any], number: int, threads: int | None) -> Any:
        """The results of a search for ``number`` codes, 1..count, or within so many bits.

        Returns:
            Arrays. "topk": distances and positions; "range_search": offsets, distances and positions; "range_count":
            counts.
        """
        if self._native is None:
            num_bytes = check_planes(self._planes, self._count)
            self._native = _native("PlainPlanes")(self._planes.data_ptr(), self._count, num_bytes)
        return getattr(self._native, search)(queries, number, threads or get_num_threads())


def find_in_codes(
    search: PlainSearch, queries: npt.NDArray[Any], codes: npt.NDArray[Any], number: int, threads: int | None
) -> Any:
    """As ``PlainPlanes.find``, among packed codes."""
    return getattr(_native("PlainCodes")(codes), search)(queries, number, threads or get_num_threads())


def least_distance(words: npt.NDArray[np.uint64]) -> int:
    """The least distance between two rows of packed words [M >= 2, W], the bytes of all side by side."""
    codes = words.view(np.uint8)
    if not are_plain_codes(codes, codes.shape[1], 0, 0):
        return reference.least_distance(words)
    least = int(64 * words.shape[1])
    for start in range(0, len(codes) - 1, _ROWS):
        # The nearest of all from a row on is the row itself, or one like it.
        distances, _ = find_in_codes("topk", codes[start : start + _ROWS], codes[start:], 2, None)
        least = min(least, int(distances[:, 1].min()))
    return least


def find_in_tables(
    search: PlainSearch, queries: npt.NDArray[Any], tables: HashTables, number: int, threads: int | None
) -> Any:
    """As ``PlainPlanes.find``, as long as a query takes no more than a scan would.

    Returns:
        "topk": also int64 [n], the queries that were not answered, whose rows are unspecified. The others: None where
        a query would take more, or turned out to.
    """
    return getattr(tables.native, search)(queries, number, threads or get_num_threads())


def _native(name: str) -> Any:
    found: Any = _loader.cpu_kernel(name)
    assert found is not None, f"{name} needs the native extension: ask are_plain_codes() first"
    return found
