"""Codes of an index that stay in the memory of a GPU, packed, as its kernels read them."""

from __future__ import annotations

import torch
from torch import Tensor

from hashkernels import _ops


def empty_device_storage(num_bytes: int, device: torch.device) -> DeviceStorage:
    """A storage without codes on ``device``."""
    return DeviceStorage(_room(0, num_bytes, device), 0)


class DeviceStorage:
    """One row a code on a GPU. Arguments come from there or from host memory, and results go where they came from.

    Room doubles when it runs out; what does not fit leaves the index as it was.
    """

    plain: None = None

    def __init__(self, rows: Tensor, count: int) -> None:
        self._rows, self.count = rows, count
        self.num_bytes = rows.shape[1]

    def added(self, codes: Tensor) -> DeviceStorage:
        needed = self.count + codes.shape[0]
        rows = self._rows
        if needed > rows.shape[0]:
            rows = _room(max(needed, 2 * rows.shape[0]), self.num_bytes, rows.device)
            rows[: self.count] = self._codes
        rows[self.count : needed] = codes
        return DeviceStorage(rows, needed)

    def topk(self, queries: Tensor, k: int, allowed: Tensor | None, threads: int | None) -> tuple[Tensor, Tensor]:
        found = _ops.topk(self._here(queries), self._codes, k, self._mask(allowed), threads)
        return found[0].to(queries.device), found[1].to(queries.device)

    def range_search(
        self, queries: Tensor, radius: int, allowed: Tensor | None, max_results: int | None, threads: int | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        found = _ops.range_search(self._here(queries), self._codes, radius, self._mask(allowed), max_results, threads)
        offsets, distances, positions, counts = (part.to(queries.device) for part in found)
        return offsets, distances, positions, counts

    def range_count(self, queries: Tensor, radius: int, allowed: Tensor | None, threads: int | None) -> Tensor:
        counts = _ops.range_count(self._here(queries), self._codes, radius, self._mask(allowed), threads)
        return counts.to(queries.device)

    def gather(self, positions: Tensor) -> Tensor:
        return self._codes[self._here(positions)].to(positions.device)

    def planes(self) -> Tensor:
        planes = torch.empty(
            (-(-self.count // _ops.BLOCK_CODES), 8 * self.num_bytes, 8), dtype=torch.int64, device="cpu"
        )
        _ops.slice_codes(self._codes.cpu(), 0, planes)
        return planes

    def method(self, queries: Tensor, threads: int | None, k: int | None = None, radius: int | None = None) -> str:
        return _ops.device_search_method()

    @property
    def _codes(self) -> Tensor:
        return self._rows[: self.count]

    def _here(self, tensor: Tensor) -> Tensor:
        return tensor.to(self._rows.device)

    def _mask(self, allowed: Tensor | None) -> Tensor | None:
        return None if allowed is None else self._here(allowed)


def _room(count: int, num_bytes: int, device: torch.device) -> Tensor:
    # A tensor made under inference_mode could never be added to outside of it.
    with torch.inference_mode(False):
        return torch.empty((count, num_bytes), dtype=torch.uint8, device=device)
