"""Searches of planes (``index.py``) from a NumPy array to NumPy arrays in one native call.

What a search of few codes or through tables takes is less than what tensors, checks and dispatch around it do.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy.typing as npt
from torch import Tensor

from hashkernels import _loader
from hashkernels._ops._library import get_num_threads
from hashkernels._ops.hash_tables import HashTables
from hashkernels._ops.index import check_planes

StoredSearch = Literal["topk", "range_search", "range_count"]


def are_plain_codes(queries: npt.NDArray[Any], num_bytes: int, pad: int, results: int) -> bool:
    """Whether ``StoredCodes`` takes an array as it is, for so many results a query: uint8 rows [Q >= 1, num_bytes], the
    bytes of each side by side, without one of the bits ``pad`` in their last bytes, and few enough of them."""
    native = _loader.cpu_kernel("are_plain_codes")
    return native is not None and native(queries, num_bytes, pad, results)


class StoredCodes:
    """The codes at positions 0..count-1 of planes, and tables over them or None."""

    def __init__(self, planes: Tensor, count: int, tables: HashTables | None = None) -> None:
        self._planes, self._count, self._tables = planes, count, tables
        self._native: Any = None

    def find(
        self, search: StoredSearch, queries: npt.NDArray[Any], number: int, threads: int | None
    ) -> tuple[Any, ...]:
        """The results of a search for ``number`` codes, 1..count, or within so many bits, of ``are_plain_codes``.

        Returns:
            "topk": distances, positions, and how many queries the tables left to a scan; "range_search": offsets,
            distances and positions; "range_count": counts. The planes are searched where the tables would take longer.
        """
        if self._native is None:
            native, num_bytes = _loader.cpu_kernel("StoredCodes"), check_planes(self._planes, self._count)
            assert native is not None
            tables = None if self._tables is None else self._tables.native
            self._native = native(self._planes.data_ptr(), self._count, num_bytes, tables)
        found: tuple[Any, ...] = getattr(self._native, search)(queries, number, threads or get_num_threads())
        return found
