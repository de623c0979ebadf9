"""A growing collection of packed codes with exact search."""

from __future__ import annotations

from typing import Any, overload

import numpy as np
import numpy.typing as npt
import torch

from hashkernels._arrays import ArrayT, like, to_tensors
from hashkernels._validation import check_bits, check_codes, check_int, check_positions, check_same_device
from hashkernels.index.search import RangeResult, SearchResult, range_search, topk


class BinaryIndex:
    """Codes in memory, found by exact Hamming distance; the position of a code is the order in which it was added.

    Args:
        bits: the length of a code, in 1..4096.

    >>> import numpy as np
    >>> index = BinaryIndex(8)
    >>> index.add(np.array([[0b0110], [0b1011], [0b0000]], np.uint8))
    >>> index.search(np.array([[0b0100]], np.uint8), 2)
    SearchResult(distances=array([[1, 1]], dtype=int32), indices=array([[0, 2]]))
    """

    def __init__(self, bits: int) -> None:
        self._bits = check_bits(bits)
        self._storage = torch.empty((0, (self._bits + 7) // 8), dtype=torch.uint8)
        self._count = 0

    @property
    def bits(self) -> int:
        """The length of a code."""
        return self._bits

    @property
    def ntotal(self) -> int:
        """How many codes the index holds."""
        return self._count

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        return f"BinaryIndex(bits={self._bits}, ntotal={self._count})"

    def add(self, codes: ArrayT) -> None:
        """Append codes, at positions ``ntotal``, ``ntotal + 1``, ...

        The codes are copied. Adding N codes one at a time costs O(N): the room for them doubles when it runs out.

        Args:
            codes: uint8 [n, ceil(bits / 8)], a CPU tensor or a NumPy array, pad bits zero.

        Raises:
            ValueError: the width is not that of ``bits`` bits, pad bits are set, or the codes are not on the CPU.
            TypeError: ``codes`` is neither a tensor nor an array, or not uint8.
        """
        (new,) = to_tensors(codes=codes)
        check_codes("codes", new, self._bits)
        check_same_device("the index", self._storage, "codes", new)
        needed = self._count + new.shape[0]
        if needed > self._storage.shape[0]:
            roomier = self._storage.new_empty((max(needed, 2 * self._storage.shape[0]), self._storage.shape[1]))
            roomier[: self._count] = self._storage[: self._count]
            self._storage = roomier
        self._storage[self._count : needed] = new
        self._count = needed

    def search(
        self, queries: ArrayT, k: int, *, filter: ArrayT | None = None, threads: int | None = None
    ) -> SearchResult[ArrayT]:
        """The k nearest codes of each query, by (distance, position); see ``hashkernels.topk``.

        Args:
            queries: uint8 [Q, ceil(bits / 8)], a CPU tensor or a NumPy array, pad bits zero.
            k: in 1..``ntotal``.
            filter: the positions that may be found, bool [ntotal] or integers, of the same kind as ``queries``.
            threads: how many threads to use; default ``hashkernels.get_num_threads()``.

        Returns:
            ``SearchResult(distances, indices)``, int32 and int64 [Q, k], of the same kind as ``queries``.

        Raises:
            ValueError: the index is empty, ``k`` or a position of ``filter`` is out of range, or the codes do not fit.
            TypeError: ``queries`` is not uint8, or tensors and NumPy arrays are mixed.
        """
        return topk(queries, self._database_for(queries), k, filter=filter, threads=threads)

    def range_search(self, queries: ArrayT, radius: int, *, threads: int | None = None) -> RangeResult[ArrayT]:
        """All codes within ``radius`` bits, inclusive, of each query; see ``hashkernels.range_search``.

        Args:
            queries: uint8 [Q, ceil(bits / 8)], a CPU tensor or a NumPy array, pad bits zero.
            radius: in 0..``bits``.
            threads: how many threads to use; default ``hashkernels.get_num_threads()``.

        Returns:
            ``RangeResult(offsets, distances, indices)`` of the same kind as ``queries``.

        Raises:
            ValueError: the index is empty, ``radius`` is out of range, or the codes do not fit.
            TypeError: ``queries`` is not uint8.
        """
        database = self._database_for(queries)
        return range_search(queries, database, check_int("radius", radius, 0, self._bits), threads=threads)

    @overload
    def reconstruct(self, positions: int) -> npt.NDArray[np.uint8]: ...
    @overload
    def reconstruct(self, positions: ArrayT) -> ArrayT: ...
    def reconstruct(self, positions: Any) -> Any:
        """A copy of stored codes.

        Args:
            positions: an int, or integers [n] as a tensor or NumPy array, in 0..``ntotal`` - 1.

        Returns:
            For an int the code as NumPy uint8 [ceil(bits / 8)]; else uint8 [n, ceil(bits / 8)] of the same kind.

        Raises:
            ValueError: a position is out of range.
            TypeError: positions are not integers.
        """
        if self._count == 0:
            raise ValueError("positions must name one of the codes of the index, which holds none")
        if not isinstance(positions, torch.Tensor | np.ndarray):
            return self._storage[check_int("positions", positions, 0, self._count - 1)].numpy().copy()
        (chosen,) = to_tensors(positions=positions)
        check_positions("positions", chosen, self._count)
        found = self._storage[chosen.long()]
        return found.numpy() if isinstance(positions, np.ndarray) else found

    def _database_for(self, queries: ArrayT) -> ArrayT:
        """The stored codes in the kind of the queries, whose pad bits are checked: ``add`` saw the others."""
        if self._count == 0:
            raise ValueError("the index must hold at least one code to be searched, got none")
        (tensor,) = to_tensors(queries=queries)
        check_codes("queries", tensor, self._bits)
        check_same_device("the index", self._storage, "queries", tensor)
        return like(queries, self._storage[: self._count])
