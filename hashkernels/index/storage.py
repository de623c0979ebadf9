"""Where an index keeps its codes: in planes for the native kernels, or packed as they came for the torch reference.

A storage holds the one copy of the codes and answers searches over them. What makes some searches faster is a structure
beside it that can be built from the codes at any time and dropped: ``hashed.py`` adds hash tables, plain arrays of
positions and reordered codes."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hashkernels import _ops
from hashkernels.index.device_storage import empty_device_storage


class PlainCodes(Protocol):
    """Codes that one native call searches."""

    def find(self, search: _ops.PlainSearch, queries: npt.NDArray[Any], number: int, threads: int | None) -> Any:
        """As ``_ops.PlainPlanes.find``."""


class Storage(Protocol):
    """The codes of an index at one moment, numbered in the order in which they were added. Arguments are checked
    tensors from the CPU, or from the device of the index, and results are where the first of them was.

    A storage never changes, so that it can be searched while another thread adds. What is added goes behind its codes
    into room that it shares with its successor, so only the newest of a line may be added to, by one thread at a time.
    """

    @property
    def count(self) -> int:
        """How many codes there are."""

    @property
    def num_bytes(self) -> int:
        """Bytes a code, W."""

    @property
    def plain(self) -> PlainCodes | None:
        """The same codes for searches in one native call, where there are any."""

    def added(self, codes: Tensor) -> Storage:
        """These codes and a copy of uint8 [n, W] behind them."""

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

    def planes(self) -> Tensor:
        """The codes bit by bit, int64 [blocks, 8 W, 8]; what lies behind them is unspecified."""

    def method(self, queries: Tensor, threads: int | None, k: int | None = None, radius: int | None = None) -> str:
        """How a search would run: as ``_ops.search_method`` names it, or "buckets" or "hash" through tables."""


CPU = torch.device("cpu")
_COPIED_AT_ONCE = 1 << 20


def new_storage(num_bytes: int, device: torch.device = CPU) -> Storage:
    """An empty storage of the kind that is searched fastest there."""
    if device.type != "cpu":
        return empty_device_storage(num_bytes, device)
    if _ops.has_sliced_search():
        return SlicedStorage(_room(0, 8 * num_bytes, 8, dtype=torch.int64), 0)
    return PackedStorage(_room(0, num_bytes, dtype=torch.uint8), 0)


def storage_of_planes(planes: Tensor, count: int) -> Storage:
    """Over planes int64 [blocks, 8 W, 8]; where those are read-only, it must not be added to."""
    if _ops.has_sliced_search():
        return SlicedStorage(planes, count)
    return PackedStorage(_ops.gather_codes(planes, torch.arange(count, device="cpu")), count)


class SlicedStorage:
    """Blocks of 512 codes, bit by bit: what the native search reads fastest, so that no search has to make it."""

    def __init__(self, planes: Tensor, count: int) -> None:
        self._planes, self.count = planes, count
        self.num_bytes = planes.shape[1] // 8
        self.plain = _ops.PlainPlanes(planes, count)

    def added(self, codes: Tensor) -> SlicedStorage:
        needed = self.count + codes.shape[0]
        planes = _grown(self._planes, _num_blocks(self.count), _num_blocks(needed))
        # A search of these codes may run meanwhile: of the words that they share with new ones, their own bits are
        # written as they are, in stores of whole words, and searches look at no others.
        _ops.slice_codes(codes, self.count, planes)
        return SlicedStorage(planes, needed)

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

    def planes(self) -> Tensor:
        return self._planes[: _num_blocks(self.count)]

    def method(self, queries: Tensor, threads: int | None, k: int | None = None, radius: int | None = None) -> str:
        return _ops.search_method(True, self.num_bytes, len(queries), self.count, threads)


class PackedStorage:
    """Codes as they came, one row each."""

    plain: None = None

    def __init__(self, rows: Tensor, count: int) -> None:
        self._rows, self.count = rows, count
        self.num_bytes = rows.shape[1]

    def added(self, codes: Tensor) -> PackedStorage:
        needed = self.count + codes.shape[0]
        rows = _grown(self._rows, self.count, needed)
        rows[self.count : needed] = codes
        return PackedStorage(rows, needed)

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

    def planes(self) -> Tensor:
        planes = _room(_num_blocks(self.count), 8 * self.num_bytes, 8, dtype=torch.int64)
        _ops.slice_codes(self._rows[: self.count], 0, planes)
        return planes

    def method(self, queries: Tensor, threads: int | None, k: int | None = None, radius: int | None = None) -> str:
        return _ops.search_method(False, self.num_bytes, len(queries), self.count, threads)


def copied(source: Storage, positions: npt.NDArray[np.int64], target: Storage) -> Storage:
    """``target`` with the codes at these positions of ``source`` behind its own."""
    for first in range(0, len(positions), _COPIED_AT_ONCE):
        target = target.added(source.gather(torch.from_numpy(positions[first : first + _COPIED_AT_ONCE])))
    return target


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
        return _ops.empty_on_huge_pages(shape, dtype)
