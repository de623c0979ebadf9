"""Search of an index by Hamming distance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, overload

from torch import Tensor

from hashkernels._arrays import ArrayT, like
from hashkernels._validation import check_int, check_threads
from hashkernels.index.contents import Contents
from hashkernels.index.rescoring import RescoredResult, Rescoring
from hashkernels.index.search import (
    LimitedRangeResult,
    RangeResult,
    RangeRow,
    SearchResult,
    check_limit,
    range_result,
    range_rows,
)


class HammingSearch(Contents):
    """Search by Hamming distance, for ``BinaryIndex``."""

    @overload
    def search(
        self,
        queries: ArrayT,
        k: int,
        *,
        filter: ArrayT | None = None,
        threads: int | None = None,
        rescore: None = None,
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
        rescore: Any,
        oversample: int | None = None,
        vectors: Any = None,
    ) -> RescoredResult[ArrayT]: ...
    @overload
    def search(
        self,
        queries: ArrayT,
        k: int,
        *,
        filter: ArrayT | None = None,
        threads: int | None = None,
        rescore: Any = None,
        oversample: int | None = None,
        vectors: Any = None,
        explain: Literal[True],
    ) -> str: ...
    def search(
        self,
        queries: ArrayT,
        k: int,
        *,
        filter: ArrayT | None = None,
        threads: int | None = None,
        rescore: Any = None,
        oversample: int | None = None,
        vectors: Any = None,
        explain: bool = False,
    ) -> SearchResult[ArrayT] | RescoredResult[ArrayT] | str:
        """The k nearest codes of each query, by (distance, position), as ids; see ``hashkernels.topk``.

        Args:
            queries: uint8 [Q, ceil(bits / 8)], a CPU tensor or a NumPy array, pad bits zero.
            k: in 1..``ntotal``.
            filter: what may be found, of the same kind as ``queries``: bool [ntotal] by position, or ids in any order
                (positions where the index has no ids). Default: all.
            threads: how many threads to use; default ``hashkernels.get_num_threads()``.
            rescore: float [Q, D], the embeddings that the queries were packed from. The ``oversample`` * k nearest
                codes are then put in order by their dot product with it, the highest first; among equals the code that
                was added first comes first. The sums have one order, so the scores are the same bits everywhere.
            oversample: how many times k codes are scored with ``rescore``; default 4.
            vectors: what is scored with ``rescore``: float32 or int8 [rows, D], an array that may be mapped, whose row
                is the id of a code and, if it is scored, finite. Default: the codes themselves, as -1 and +1, so that D
                is ``bits``.
            explain: check the arguments and say how the search would run, without running it.

        Returns:
            ``SearchResult(distances, indices)``, int32 and int64 [Q, k], of the same kind as ``queries``; indices are
            uint64 where the ids are, here as of all searches of an index, and the largest of them stands for -1. Where
            the filter leaves fewer than k, rows end in (2147483647, -1). With ``rescore`` ``RescoredResult(scores,
            indices)``, float32 and int64 [Q, k], whose rows then end in (-inf, -1). With ``explain`` a str: "rows"
            (few codes, compared one by one), "planes" (bit by bit, one query at a time), "sums" (bit by bit, all
            queries on one table of sums a block), "buckets" or "hash" (what ``structure`` allows, if it is built;
            queries that it is slow for are scanned), "cuda" or "reference" (torch).

        Raises:
            ValueError: the index is empty, ``k`` or ``threads`` is out of range, ``filter`` names a code that is not
                there, arrays do not fit, ``rescore`` is missing beside what it needs, or a score is not finite in
                float32.
            TypeError: an array is of another dtype than above, tensors and NumPy arrays are mixed, or a number is not
                an int.

        >>> import numpy as np
        >>> from hashkernels import BinaryIndex
        >>> index = BinaryIndex(8)
        >>> index.add(np.array([[0b0110], [0b1011], [0b0000]], np.uint8))
        >>> index.search(np.array([[0b0100]], np.uint8), 1, filter=np.array([1, 2]))
        SearchResult(distances=array([[1]], dtype=int32), indices=array([[2]]))
        """
        if filter is None and rescore is None and oversample is None and vectors is None and not explain:
            found = self._at_once("topk", queries, k, threads)
            if found is not None:
                return SearchResult(*found)
        codes, state, allowed = self._filtered(queries, filter)
        k = check_int("k", k, 1, state.storage.count)
        if rescore is None and (oversample is not None or vectors is not None):
            raise ValueError("rescore must be given where oversample or vectors are, got None")
        scoring = None
        candidates = k
        if rescore is not None:
            little = self._bitorder == "little"
            scoring = Rescoring(rescore, oversample, vectors, self._bits, little, len(codes))
            candidates = scoring.num_candidates(k, state.storage.count)
        if explain:
            return state.storage.method(codes, threads, k=candidates)
        distances, positions = state.storage.topk(codes, candidates, allowed, threads)
        if scoring is not None:
            positions = positions.cpu()
            scores, ids = scoring.best(positions, state.ids_of(positions), state.storage.gather, k, threads)
            return RescoredResult(like(queries, scores.to(codes.device)), like(queries, ids.to(codes.device)))
        return SearchResult(like(queries, distances), like(queries, state.ids_of(positions)))

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
            filter: what may be found, as in ``search``. Default: all.
            max_results: keep at most that many of each query, the nearest by (distance, position). Default: all.
            threads: how many threads to use; default ``hashkernels.get_num_threads()``.
            explain: check the arguments and say how the search would run, as ``search`` does.

        Returns:
            ``RangeResult(offsets, distances, indices)`` of the same kind as ``queries``; with ``max_results``
            ``LimitedRangeResult``, whose ``counts`` say how many there are.

        Raises:
            ValueError: the index is empty, ``radius``, ``max_results`` or ``threads`` is out of range, ``filter`` names
                a code that is not there, or arrays do not fit.
            TypeError: as ``search``.
        """
        if filter is None and max_results is None and not explain:
            found = self._at_once("range_search", queries, radius, threads)
            if found is not None:
                return RangeResult(*found)
        codes, state, allowed = self._filtered(queries, filter)
        radius = check_int("radius", radius, 0, self._bits)
        max_results = check_limit(max_results, state.storage.count)
        if explain:
            return state.storage.method(codes, threads, radius=radius)
        offsets, distances, positions, counts = state.storage.range_search(codes, radius, allowed, max_results, threads)
        return range_result(queries, (offsets, distances, state.ids_of(positions), counts), max_results)

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
        if filter is None:
            found = self._at_once("range_count", queries, radius, threads)
            if found is not None:
                return found[0]
        codes, state, allowed = self._filtered(queries, filter)
        radius = check_int("radius", radius, 0, self._bits)
        return like(queries, state.storage.range_count(codes, radius, allowed, threads))

    def range_iterator(
        self,
        queries: ArrayT,
        radius: int,
        *,
        filter: ArrayT | None = None,
        batch: int = 256,
        threads: int | None = None,
    ) -> Iterator[RangeRow[ArrayT]]:
        """What ``range_search`` finds, query by query, with no more in memory than what ``batch`` queries find.

        Codes that are added or removed after this call change nothing.

        Args:
            queries, radius, filter, threads: as in ``range_search``.
            batch: how many queries are searched at a time; many share the reading of the codes.

        Returns:
            An iterator over ``RangeRow(distances, indices)`` for each query in turn, int32 and int64 [n], of the same
            kind as ``queries``.

        Raises:
            ValueError, TypeError: as ``range_search``, and of ``batch``, from this call.

        >>> import numpy as np
        >>> from hashkernels import BinaryIndex
        >>> index = BinaryIndex(8)
        >>> index.add(np.array([[0b0110], [0b1011], [0b0000]], np.uint8))
        >>> for distances, indices in index.range_iterator(np.array([[0b0100], [0b1111]], np.uint8), 1):
        ...     print(distances, indices)
        [1 1] [0 2]
        [1] [1]
        """
        codes, state, allowed = self._filtered(queries, filter)
        radius, batch = check_int("radius", radius, 0, self._bits), check_int("batch", batch, 1)
        check_threads(threads)

        def part(rows: slice) -> tuple[Tensor, Tensor, Tensor, Tensor]:
            offsets, distances, positions, counts = state.storage.range_search(
                codes[rows], radius, allowed, None, threads
            )
            return offsets, distances, state.ids_of(positions), counts

        return range_rows(queries, len(codes), batch, part)
