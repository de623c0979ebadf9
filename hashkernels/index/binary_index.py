"""A growing collection of packed codes with exact search."""

from __future__ import annotations

from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt
import torch

from hashkernels._arrays import ArrayT, like, to_tensors
from hashkernels._validation import check_bits, check_choice, check_codes, check_int, check_positions
from hashkernels.index.search import LimitedRangeResult, RangeResult, SearchResult, allowed_mask, range_result
from hashkernels.index.structures import STRUCTURES, new_storage


class BinaryIndex:
    """Codes in memory, found by exact Hamming distance; the position of a code is the order in which it was added.

    With the native extension the one copy of the codes is kept bit by bit, in blocks of 512, which the fastest search
    reads as it is; ``hashkernels.topk``, given packed codes, first has to bring them into that form or does without.
    A code takes ``bytes_per_code`` bytes, no more than packed; the last block is whole, and after additions in many
    parts room for up to as many codes again is reserved. Searches may run in several threads at once, but not while
    codes are added.

    Args:
        bits: the length of a code, in 1..4096.
        structure: what searches may use besides the codes, whatever it is the results are the same.
            "scan": nothing, every search reads all codes.
            "auto": for codes of up to 16 bits a table of buckets, 4 bytes a code and 256 KB, built once 64 queries have
            come since the last addition; else as "scan".
            "hash": multi-index hashing, much faster for a small radius and for data in clusters, built at the first
            search after an addition (about a second for 10 million codes of 64 bits) and dropped by the next addition.
            It takes some 8 bytes a code for every log2(ntotal) bits and a second copy of the codes in whole words:
            about 32 bytes a code of 64 bits, 120 a code of 256. Used where it is estimated to be faster than a scan.

    Raises:
        ValueError: ``bits`` is out of range, or ``structure`` is none of these.

    >>> import numpy as np
    >>> index = BinaryIndex(8)
    >>> index.add(np.array([[0b0110], [0b1011], [0b0000]], np.uint8))
    >>> index.search(np.array([[0b0100]], np.uint8), 2)
    SearchResult(distances=array([[1, 1]], dtype=int32), indices=array([[0, 2]]))
    """

    def __init__(self, bits: int, *, structure: Literal["auto", "scan", "hash"] = "auto") -> None:
        self._bits = check_bits(bits)
        self._structure = check_choice("structure", structure, STRUCTURES)
        self._storage = new_storage(self._bits, self._structure)

    @property
    def bits(self) -> int:
        """The length of a code."""
        return self._bits

    @property
    def ntotal(self) -> int:
        """How many codes the index holds."""
        return self._storage.count

    @property
    def bytes_per_code(self) -> int:
        """The bytes that a code takes, ``ceil(bits / 8)``.

        >>> BinaryIndex(65).bytes_per_code
        9
        """
        return (self._bits + 7) // 8

    @property
    def structure_bytes(self) -> int:
        """The bytes of what was built besides the codes; 0 before it is built and after ``add`` has dropped it."""
        return self._storage.structure_bytes

    def prepare(self, *, threads: int | None = None) -> None:
        """Build now what ``structure`` allows, so that no search has to.

        >>> import numpy as np
        >>> index = BinaryIndex(64, structure="hash")
        >>> index.add(np.zeros((1000, 8), np.uint8))
        >>> index.prepare()
        >>> index.structure_bytes > 0
        True
        """
        self._storage.prepare(threads)

    def __len__(self) -> int:
        return self.ntotal

    def __repr__(self) -> str:
        return f"BinaryIndex(bits={self._bits}, ntotal={self.ntotal})"

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
        self._storage.add(self._checked("codes", new))

    @overload
    def search(
        self,
        queries: ArrayT,
        k: int,
        *,
        filter: ArrayT | None = None,
        threads: int | None = None,
        explain: Literal[False] = False,
    ) -> SearchResult[ArrayT]: ...
    @overload
    def search(
        self,
        queries: ArrayT,
        k: int,
        *,
        filter: ArrayT | None = None,
        threads: int | None = None,
        explain: Literal[True],
    ) -> str: ...
    def search(
        self,
        queries: ArrayT,
        k: int,
        *,
        filter: ArrayT | None = None,
        threads: int | None = None,
        explain: bool = False,
    ) -> SearchResult[ArrayT] | str:
        """The k nearest codes of each query, by (distance, position); see ``hashkernels.topk``.

        Args:
            queries: uint8 [Q, ceil(bits / 8)], a CPU tensor or a NumPy array, pad bits zero.
            k: in 1..``ntotal``.
            filter: the positions that may be found, of the same kind as ``queries``: bool [ntotal], or integers in
                0..``ntotal`` - 1 in any order. Default: all.
            threads: how many threads to use; default ``hashkernels.get_num_threads()``.
            explain: check the arguments and say how the search would run, without running it.

        Returns:
            ``SearchResult(distances, indices)``, int32 and int64 [Q, k], of the same kind as ``queries``. Where the
            filter leaves fewer than k, rows end in (2147483647, -1). With ``explain`` a str: "planes" (bit by bit, one
            query at a time), "tables" (bit by bit, all queries on one table of sums a block), "buckets" or "hash" (what
            ``structure`` allows, if it is built; queries that it is slow for are scanned), "rows" (popcounts of packed
            codes) or "reference" (torch).

        Raises:
            ValueError: the index is empty, ``k`` or a position of ``filter`` is out of range, or the codes do not fit.
            TypeError: ``queries`` is not uint8, or tensors and NumPy arrays are mixed.

        >>> import numpy as np
        >>> index = BinaryIndex(8)
        >>> index.add(np.array([[0b0110], [0b1011], [0b0000]], np.uint8))
        >>> index.search(np.array([[0b0100]], np.uint8), 1, filter=np.array([1, 2]))
        SearchResult(distances=array([[1]], dtype=int32), indices=array([[2]]))
        """
        codes = self._checked_queries(queries)
        k = check_int("k", k, 1, self.ntotal)
        allowed = allowed_mask(queries, filter, self.ntotal)
        if explain:
            return self._storage.method(codes, threads, k=k)
        return SearchResult(*(like(queries, part) for part in self._storage.topk(codes, k, allowed, threads)))

    @overload
    def range_search(
        self,
        queries: ArrayT,
        radius: int,
        *,
        filter: ArrayT | None = None,
        max_results: None = None,
        threads: int | None = None,
        explain: Literal[False] = False,
    ) -> RangeResult[ArrayT]: ...
    @overload
    def range_search(
        self,
        queries: ArrayT,
        radius: int,
        *,
        filter: ArrayT | None = None,
        max_results: int,
        threads: int | None = None,
        explain: Literal[False] = False,
    ) -> LimitedRangeResult[ArrayT]: ...
    @overload
    def range_search(
        self,
        queries: ArrayT,
        radius: int,
        *,
        filter: ArrayT | None = None,
        max_results: int | None = None,
        threads: int | None = None,
        explain: Literal[True],
    ) -> str: ...
    def range_search(
        self,
        queries: ArrayT,
        radius: int,
        *,
        filter: ArrayT | None = None,
        max_results: int | None = None,
        threads: int | None = None,
        explain: bool = False,
    ) -> RangeResult[ArrayT] | LimitedRangeResult[ArrayT] | str:
        """All codes within ``radius`` bits, inclusive, of each query; see ``hashkernels.range_search``.

        Args:
            queries: uint8 [Q, ceil(bits / 8)], a CPU tensor or a NumPy array, pad bits zero.
            radius: in 0..``bits``.
            filter: the positions that may be found, as in ``search``. Default: all.
            max_results: keep at most that many of each query, the nearest by (distance, position). Default: all.
            threads: how many threads to use; default ``hashkernels.get_num_threads()``.
            explain: check the arguments and say how the search would run, as ``search`` does.

        Returns:
            ``RangeResult(offsets, distances, indices)`` of the same kind as ``queries``; with ``max_results``
            ``LimitedRangeResult``, whose ``counts`` say how many there are.

        Raises:
            ValueError: the index is empty, ``radius``, ``max_results`` or a position of ``filter`` is out of range, or
                the codes do not fit.
            TypeError: ``queries`` is not uint8, or tensors and NumPy arrays are mixed.
        """
        codes = self._checked_queries(queries)
        radius = check_int("radius", radius, 0, self._bits)
        allowed = allowed_mask(queries, filter, self.ntotal)
        if max_results is not None:
            max_results = check_int("max_results", max_results, 1)
        if explain:
            return self._storage.method(codes, threads, radius=radius)
        found = self._storage.range_search(codes, radius, allowed, max_results, threads)
        return range_result(queries, found, max_results)

    def range_count(
        self, queries: ArrayT, radius: int, *, filter: ArrayT | None = None, threads: int | None = None
    ) -> ArrayT:
        """How many codes lie within ``radius`` bits, inclusive, of each query; see ``hashkernels.range_count``.

        Args:
            queries, radius, filter, threads: as in ``range_search``.

        Returns:
            int64 [Q], of the same kind as ``queries``.

        Raises:
            ValueError, TypeError: as ``range_search``.
        """
        codes = self._checked_queries(queries)
        radius = check_int("radius", radius, 0, self._bits)
        allowed = allowed_mask(queries, filter, self.ntotal)
        return like(queries, self._storage.range_count(codes, radius, allowed, threads))

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
        if self.ntotal == 0:
            raise ValueError("positions must name one of the codes of the index, which holds none")
        if not isinstance(positions, torch.Tensor | np.ndarray):
            position = check_int("positions", positions, 0, self.ntotal - 1)
            return self._storage.gather(torch.tensor([position], device="cpu"))[0].numpy()
        (chosen,) = to_tensors(positions=positions)
        check_positions("positions", chosen, self.ntotal)
        found = self._storage.gather(self._on_cpu("positions", chosen).long())
        return found.numpy() if isinstance(positions, np.ndarray) else found

    def _checked_queries(self, queries: ArrayT) -> torch.Tensor:
        if self.ntotal == 0:
            raise ValueError("the index must hold at least one code to be searched, got none")
        (codes,) = to_tensors(queries=queries)
        return self._checked("queries", codes)

    def _checked(self, name: str, codes: torch.Tensor) -> torch.Tensor:
        return self._on_cpu(name, check_codes(name, codes, self._bits))

    def _on_cpu(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        if tensor.device.type != "cpu":
            raise ValueError(f"{name} must be on cpu like the index, got {tensor.device}")
        return tensor
