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

StoredSearch = Literal["topk", "range_search", "range_count"]


class StoredCodes:
    """The codes at positions 0..count-1 of planes, and tables over them or None."""

    def __init__(self, planes: Tensor, count: int, tables: HashTables | None = None) -> None:
        self._planes, self._count, self.tables = planes, count, tables
        self._native: Any = None

    def find(
        self,
        search: StoredSearch,
        queries: npt.NDArray[Any],
        number: int,
        pad: int,
        threads: int | None,
        *,
        use_tables: bool = True,
    ) -> tuple[Any, ...] | None:
        """The results of a search for ``number`` codes, or within so many bits; None for what native code does not take
        as it is: queries that are not rows of bytes [Q >= 1, W], or have one of the bits ``pad`` in their last byte, a
        number out of range, very large results.

        Returns:
            "topk": distances, positions, and how many queries the tables left to a scan; "range_search": offsets,
            distances and positions; "range_count": counts. The planes are searched where the tables would take longer.
        """
        native = _loader.cpu_kernel("StoredCodes")
        if native is None:
            return None
        if self._native is None:
            tables = None if self.tables is None else self.tables.native
            self._native = native(self._planes.data_ptr(), self._count, self._planes.shape[1] // 8, tables)
        found: tuple[Any, ...] | None = getattr(self._native, search)(
            queries, number, pad, threads or get_num_threads(), use_tables
        )
        return found
