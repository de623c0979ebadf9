"""Codes with hash tables beside them, and the choice between the two for every search."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import numpy.typing as npt
import torch
from torch import Tensor

from hashkernels import _ops
from hashkernels._arrays import ArrayT
from hashkernels.index.storage import PlainCodes, Storage

BUCKET_BITS = 16
"""Up to so many bits one table of buckets answers most searches, and takes four bytes a code."""

# Scans for so many queries take about as long as building buckets does.
_QUERIES_WORTH_BUCKETS = 64

Build = Literal["first", "worth it", "never"]
_Found = TypeVar("_Found")


class _Pause:
    """For how many calls the tables are left alone: twice as many each time that they leave half of the queries or more
    to a scan, none once they do not. Whatever threads make of it at the same time only costs time."""

    _LONGEST = 63

    def __init__(self) -> None:
        self._length = self._left = 0

    def is_over(self) -> bool:
        self._left -= 1
        return self._left < 0

    def after(self, *, answered: bool) -> None:
        self._length = 0 if answered else min(2 * self._length + 1, self._LONGEST)
        self._left = self._length


class HashedStorage:
    """Codes that gain hash tables as soon as these are worth it.

    ``build``: "first", at the first search; "worth it", once ``_QUERIES_WORTH_BUCKETS`` queries have come since codes
    were last added; "never". ``stored`` gives tables that are there already, which the first search takes. What is
    added gets new ones. What a search returns does not depend on whether they are there.
    """

    def __init__(
        self,
        codes: Storage,
        bits: int,
        bitorder: str,
        *,
        build: Build,
        stored: Callable[[], _ops.HashTables] | None = None,
    ) -> None:
        self._codes, self._bits, self._bitorder, self._build, self._stored = codes, bits, bitorder, build, stored
        self.count, self.num_bytes = codes.count, codes.num_bytes
        self._asked = 0
        self.tables: _ops.HashTables | None = None
        self._building = threading.Lock()
        self._pauses: dict[tuple[str, int, int], _Pause] = {}
        self.build_seconds = 0.0

    @property
    def structure_bytes(self) -> int:
        """What is held besides the codes."""
        return 0 if self.tables is None else self.tables.nbytes

    def prepare(self, threads: int | None) -> None:
        """Take or build now what searches would."""
        with self._building:
            if self.tables is not None or not _ops.can_hash(self.count):
                return
            if self._stored is not None:
                self.tables = self._stored()
            elif self._build != "never":
                began = time.perf_counter()
                with torch.inference_mode(False):
                    self.tables = _ops.build_hash_tables(
                        self._codes.planes(), self.count, self._bits, threads, little=self._bitorder == "little"
                    )
                self.build_seconds = time.perf_counter() - began

    def added(self, codes: Tensor) -> HashedStorage:
        if not len(codes):
            return self
        return HashedStorage(self._codes.added(codes), self._bits, self._bitorder, build=self._build)

    @property
    def plain(self) -> PlainCodes | None:
        return None if self._codes.plain is None else self

    def topk(self, queries: Tensor, k: int, allowed: Tensor | None, threads: int | None) -> tuple[Tensor, Tensor]:
        return self._nearest(
            queries,
            k,
            threads,
            lambda tables: _ops.hash_topk(queries, tables, k, allowed, self._most_work(len(queries), threads), threads),
            lambda some: self._codes.topk(some, k, allowed, threads),
        )

    def range_search(
        self, queries: Tensor, radius: int, allowed: Tensor | None, max_results: int | None, threads: int | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self._within(
            len(queries),
            radius,
            threads,
            lambda tables: _ops.hash_range_search(
                queries, tables, radius, allowed, max_results, threads, self._most_work(len(queries), threads)
            ),
            lambda: self._codes.range_search(queries, radius, allowed, max_results, threads),
        )

    def range_count(self, queries: Tensor, radius: int, allowed: Tensor | None, threads: int | None) -> Tensor:
        return self._within(
            len(queries),
            radius,
            threads,
            lambda tables: _ops.hash_range_count(
                queries, tables, radius, allowed, threads, self._most_work(len(queries), threads)
            ),
            lambda: self._codes.range_count(queries, radius, allowed, threads),
        )

    def find(self, search: _ops.PlainSearch, queries: npt.NDArray[Any], number: int, threads: int | None) -> Any:
        """As ``_ops.PlainPlanes.find``, if ``plain`` is there."""
        codes = self._codes.plain
        assert codes is not None

        def through(tables: _ops.HashTables) -> Any:
            return _ops.find_in_tables(search, queries, tables, number, threads)

        def scan(some: npt.NDArray[Any] = queries) -> Any:
            return codes.find(search, some, number, threads)

        if search == "topk":
            return self._nearest(queries, number, threads, through, scan)
        return self._within(len(queries), number, threads, through, scan)

    def gather(self, positions: Tensor) -> Tensor:
        return self._codes.gather(positions)

    def planes(self) -> Tensor:
        return self._codes.planes()

    def method(self, queries: Tensor, threads: int | None, k: int | None = None, radius: int | None = None) -> str:
        if self._stored is not None:
            self.prepare(threads)
        if self.tables is not None and _ops.can_hash(self.count) and len(queries):
            sample, most = queries[:: max(1, len(queries) // 8)], self._most_work(len(queries), threads)
            if radius is not None:
                answered = _ops.hash_range_count(sample, self.tables, radius, None, threads, most) is not None
            else:
                assert k is not None
                left = _ops.hash_topk(sample, self.tables, k, None, most, threads)[2]
                answered = 2 * len(left) < len(sample)
            if answered:
                return "buckets" if len(self.tables.widths) == 1 else "hash"
        return self._codes.method(queries, threads, k, radius)

    def _nearest(
        self,
        queries: ArrayT,
        k: int,
        threads: int | None,
        through: Callable[[_ops.HashTables], tuple[ArrayT, ArrayT, ArrayT]],
        scan: Callable[[ArrayT], tuple[ArrayT, ArrayT]],
    ) -> tuple[ArrayT, ArrayT]:
        """What ``through`` finds in the tables, and ``scan`` for the queries that it leaves."""
        tables = self._tables_for(len(queries), threads)
        # The price of a scan changes with the number of queries; searches for as many codes answer alike.
        pause = self._pause("topk", k.bit_length(), len(queries))
        if tables is None or not pause.is_over():
            return scan(queries)
        distances, positions, left = through(tables)
        pause.after(answered=2 * len(left) < len(queries))
        if len(left):
            distances[left], positions[left] = scan(queries[left])
        return distances, positions

    def _within(
        self,
        num_queries: int,
        radius: int,
        threads: int | None,
        through: Callable[[_ops.HashTables], _Found | None],
        scan: Callable[[], _Found],
    ) -> _Found:
        """What ``through`` finds in the tables, or ``scan`` where a query would take longer there."""
        tables, pause = self._tables_for(num_queries, threads), self._pause("range", radius, num_queries)
        if tables is None or not pause.is_over():
            return scan()
        found = through(tables)
        pause.after(answered=found is not None)
        return scan() if found is None else found

    def _pause(self, search: str, number: int, num_queries: int) -> _Pause:
        return self._pauses.setdefault((search, number, num_queries.bit_length()), _Pause())

    def _tables_for(self, num_queries: int, threads: int | None) -> _ops.HashTables | None:
        """The tables, built now if it is time to; None where there are none or nothing can read them."""
        self._asked += num_queries
        if self._stored or self._build == "first" or self._asked >= _QUERIES_WORTH_BUCKETS:
            self.prepare(threads)
        return self.tables if num_queries and _ops.can_hash(self.count) else None

    def _most_work(self, num_queries: int, threads: int | None) -> float:
        """What a query may take through the tables until a scan would be faster, in nanoseconds of one core."""
        return _ops.most_hash_work(self.num_bytes, num_queries, self.count, threads)
