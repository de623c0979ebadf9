"""Codes with hash tables beside them, and the choice between the two for every search."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Literal

import numpy.typing as npt
import torch
from torch import Tensor

from hashkernels import _ops
from hashkernels.index.storage import Storage

BUCKET_BITS = 16
"""Up to so many bits one table of buckets answers most searches, and takes four bytes a code."""

# Scans for so many queries take about as long as building buckets does.
_QUERIES_WORTH_BUCKETS = 64


Build = Literal["first", "worth it", "never"]


class _Pause:
    """For how many calls the tables are left alone: twice as many each time that they answer less than half of the
    queries, none once they do. Whatever threads make of it at the same time only costs time."""

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
        self._pauses: dict[tuple[int, int], _Pause] = {}
        self._stored_codes: _ops.StoredCodes | None = None  # with the tables, which stay once they are there
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

    def topk(self, queries: Tensor, k: int, allowed: Tensor | None, threads: int | None) -> tuple[Tensor, Tensor]:
        num_queries = queries.shape[0]
        tables, pause = self._tables_for(num_queries, threads), self._pause(num_queries, k)
        if tables is None or not pause.is_over():
            return self._codes.topk(queries, k, allowed, threads)
        most = self._most_work(queries, threads)
        distances, indices, left = _ops.hash_topk(queries, tables, k, allowed, most, threads)
        num_left = left.shape[0]
        pause.after(answered=2 * num_left < num_queries)
        if num_left:
            distances[left], indices[left] = self._codes.topk(queries[left], k, allowed, threads)
        return distances, indices

    def range_search(
        self, queries: Tensor, radius: int, allowed: Tensor | None, max_results: int | None, threads: int | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        found = None
        if (tables := self._tables_for(queries.shape[0], threads)) is not None:
            most = self._most_work(queries, threads)
            found = _ops.hash_range_search(queries, tables, radius, allowed, max_results, threads, most)
        return self._codes.range_search(queries, radius, allowed, max_results, threads) if found is None else found

    def range_count(self, queries: Tensor, radius: int, allowed: Tensor | None, threads: int | None) -> Tensor:
        counts = None
        if (tables := self._tables_for(queries.shape[0], threads)) is not None:
            most = self._most_work(queries, threads)
            counts = _ops.hash_range_count(queries, tables, radius, allowed, threads, most)
        return self._codes.range_count(queries, radius, allowed, threads) if counts is None else counts

    def at_once(
        self, search: _ops.StoredSearch, queries: npt.NDArray[Any], number: int, threads: int | None
    ) -> tuple[Any, ...] | None:
        planes = self._codes.whole_planes()
        if planes is None:
            return None
        tables = self._tables_for(len(queries), threads)
        pause = self._pause(len(queries), number) if search == "topk" else None
        if tables is None or (pause is not None and not pause.is_over()):
            return self._codes.at_once(search, queries, number, threads)
        if self._stored_codes is None:
            self._stored_codes = _ops.StoredCodes(planes, self.count, tables)
        found = self._stored_codes.find(search, queries, number, threads)
        if pause is not None:
            pause.after(answered=2 * found[2] < len(queries))
        return found

    def whole_planes(self) -> Tensor | None:
        return self._codes.whole_planes()

    def gather(self, positions: Tensor) -> Tensor:
        return self._codes.gather(positions)

    def planes(self) -> Tensor:
        return self._codes.planes()

    def method(self, queries: Tensor, threads: int | None, k: int | None = None, radius: int | None = None) -> str:
        if self._stored is not None:
            self.prepare(threads)
        if self.tables is not None and _ops.can_hash(self.count) and len(queries):
            sample = queries[:: max(1, len(queries) // 8)]
            cheap = (
                self._within_is_cheap(queries, radius, threads)
                if radius is not None
                else k is not None and self._mostly_answered(sample, k, self._most_work(queries, threads), threads)
            )
            if cheap:
                return "buckets" if len(self.tables.widths) == 1 else "hash"
        return self._codes.method(queries, threads, k, radius)

    def _pause(self, num_queries: int, k: int) -> _Pause:
        # Searches for as many answer alike, and the price of a scan changes with the number of queries.
        return self._pauses.setdefault((k.bit_length(), num_queries.bit_length()), _Pause())

    def _tables_for(self, num_queries: int, threads: int | None) -> _ops.HashTables | None:
        """The tables, built now if it is time to; None where there are none or nothing can read them."""
        self._asked += num_queries
        if self._stored or self._build == "first" or self._asked >= _QUERIES_WORTH_BUCKETS:
            self.prepare(threads)
        return self.tables if num_queries and _ops.can_hash(self.count) else None

    def _most_work(self, queries: Tensor, threads: int | None) -> float:
        """What a query may take through the tables until a scan would be faster, in nanoseconds of one core."""
        return _ops.most_hash_work(self.num_bytes, queries.shape[0], self.count, threads)

    def _within_is_cheap(self, queries: Tensor, radius: int, threads: int | None) -> bool:
        assert self.tables is not None
        return _ops.hash_range_work(queries, self.tables, radius) <= self._most_work(queries, threads)

    def _mostly_answered(self, queries: Tensor, k: int, most_work: float, threads: int | None) -> bool:
        assert self.tables is not None
        left = _ops.hash_topk(queries, self.tables, k, None, most_work, threads)[2]
        return 2 * len(left) < len(queries)
