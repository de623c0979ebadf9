"""Where an index keeps its codes: in planes for the native kernels, or packed as they came for the torch reference.

A storage holds the one copy of the codes and answers searches over them. What makes some searches faster is a structure
beside it that can be built from the codes at any time and dropped: ``hashed.py`` adds hash tables, plain arrays of
positions and reordered codes."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from hashkernels import _ops


class Storage(Protocol):
    """The codes of an index, numbered in the order in which they were added. Arguments are checked CPU tensors."""

    count: int

    def add(self, codes: Tensor) -> None:
        """Append a copy of uint8 [n, W]."""

    def topk(self, queries: Tensor, k: int, allowed: Tensor | None, threads: int | None) -> tuple[Tensor, Tensor]:
        """Distances int32 [Q, k] and positions int64 [Q, k]."""

    def range_search(
        self, queries: Tensor, radius: int, allowed: Tensor | None, max_results: int | None, threads: int | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Offsets int64 [Q + 1], distances int32, positions int64 and counts int64 [Q]."""

    def range_count(self, queries: Tensor, radius: int, allowed: Tensor | None, threads: int | None) -> Tensor:
        """Counts int64 [Q]."""

    def gather(self, positions: Tensor) -> Tensor:
        """A copy of the codes at positions int64 [n], uint8 [n, W]."""

    def method(self, queries: Tensor, threads: int | None, k: int | None = None, radius: int | None = None) -> str:
        """How a search would run: as ``_ops.search_method`` names it, or "buckets" or "hash" through tables."""

    def prepare(self, threads: int | None) -> None:
        """Build now what searches would build."""

    @property
    def structure_bytes(self) -> int:
        """What is held besides the codes."""


class SlicedStorage:
    """Blocks of 512 codes, bit by bit: what the native search reads fastest, so that no search has to make it."""

    def __init__(self, num_bytes: int) -> None:
        self.count = 0
        self._planes = _room(0, 8 * num_bytes, 8, dtype=torch.int64)

    def add(self, codes: Tensor) -> None:
        needed = self.count + codes.shape[0]
        planes = _grown(self._planes, _num_blocks(self.count), _num_blocks(needed))
        _ops.slice_codes(codes, self.count, planes)
        # Last, and in this order: what fails or is interrupted before leaves the index as it was.
        self._planes, self.count = planes, needed

    def topk(self, queries: Tensor, k: int, allowed: Tensor | None, threads: int | None) -> tuple[Tensor, Tensor]:
        return _ops.sliced_topk(queries, self._planes, self.count, k, allowed, threads)

    def range_search(
        self, queries: Tensor, radius: int, allowed: Tensor | None, max_results: int | None, threads: int | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return _ops.sliced_range_search(queries, self._planes, self.count, radius, allowed, max_results, threads)

    def range_count(self, queries: Tensor, radius: int, allowed: Tensor | None, threads: int | None) -> Tensor:
        return _ops.sliced_range_count(queries, self._planes, self.count, radius, allowed, threads)

    def gather(self, positions: Tensor) -> Tensor:
        return _ops.gather_codes(self._planes, positions)

    def method(self, queries: Tensor, threads: int | None, k: int | None = None, radius: int | None = None) -> str:
        return _ops.search_method(True, len(queries), self.count, threads)

    def prepare(self, threads: int | None) -> None:
        """There is nothing but the planes."""

    @property
    def structure_bytes(self) -> int:
        return 0


class PackedStorage:
    """Codes as they came, one row each."""

    def __init__(self, num_bytes: int) -> None:
        self.count = 0
        self._rows = _room(0, num_bytes, dtype=torch.uint8)

    def add(self, codes: Tensor) -> None:
        needed = self.count + codes.shape[0]
        rows = _grown(self._rows, self.count, needed)
        rows[self.count : needed] = codes
        self._rows, self.count = rows, needed

    def topk(self, queries: Tensor, k: int, allowed: Tensor | None, threads: int | None) -> tuple[Tensor, Tensor]:
        return _ops.topk(queries, self._rows[: self.count], k, allowed, threads)

    def range_search(
        self, queries: Tensor, radius: int, allowed: Tensor | None, max_results: int | None, threads: int | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return _ops.range_search(queries, self._rows[: self.count], radius, allowed, max_results, threads)

    def range_count(self, queries: Tensor, radius: int, allowed: Tensor | None, threads: int | None) -> Tensor:
        return _ops.range_count(queries, self._rows[: self.count], radius, allowed, threads)

    def gather(self, positions: Tensor) -> Tensor:
        return self._rows[positions]

    def method(self, queries: Tensor, threads: int | None, k: int | None = None, radius: int | None = None) -> str:
        return _ops.search_method(False, len(queries), self.count, threads)

    def prepare(self, threads: int | None) -> None:
        """There is nothing but the codes."""

    @property
    def structure_bytes(self) -> int:
        return 0


def _num_blocks(count: int) -> int:
    return -(-count // _ops.BLOCK_CODES)


def _grown(room: Tensor, used: int, needed: int) -> Tensor:
    """Room whose first dimension is at least ``needed``, with the first ``used`` rows of what there is. It doubles, so
    that all the copying of many additions together costs no more than one of them all."""
    if needed <= room.shape[0]:
        return room
    grown = _room(max(needed, 2 * room.shape[0]), *room.shape[1:], dtype=room.dtype)
    grown[:used] = room[:used]
    return grown


def _room(*shape: int, dtype: torch.dtype) -> Tensor:
    # A tensor made under inference_mode could never be added to outside of it.
    with torch.inference_mode(False):
        return torch.empty(shape, dtype=dtype, device="cpu")
