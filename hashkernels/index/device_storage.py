"""Codes of an index that stay in the memory of a GPU, packed, as its kernels read them."""

from __future__ import annotations

import torch
from torch import Tensor

from hashkernels import _loader, _ops


class DeviceStorage:
    """One row a code, on ``device``. Room doubles when it runs out; what does not fit leaves the index as it was."""

    def __init__(self, num_bytes: int, device: torch.device) -> None:
        self.count = 0
        self._rows = self._room(0, num_bytes, device)

    def add(self, codes: Tensor) -> None:
        needed = self.count + codes.shape[0]
        rows = self._rows
        if needed > rows.shape[0]:
            rows = self._room(max(needed, 2 * rows.shape[0]), rows.shape[1], rows.device)
            rows[: self.count] = self._rows[: self.count]
        rows[self.count : needed] = codes
        self._rows, self.count = rows, needed

    def topk(self, queries: Tensor, k: int, allowed: Tensor | None, threads: int | None) -> tuple[Tensor, Tensor]:
        return _ops.topk(queries, self._codes, k, allowed, threads)

    def range_search(self, queries: Tensor, radius: int, threads: int | None) -> tuple[Tensor, Tensor, Tensor]:
        return _ops.range_search(queries, self._codes, radius, threads)

    def gather(self, positions: Tensor) -> Tensor:
        return self._codes[positions]

    def method(self, num_queries: int, threads: int | None) -> str:
        return _loader.REFERENCE if _loader.cuda_kernel("cuda_topk") is None else "cuda"

    @property
    def _codes(self) -> Tensor:
        return self._rows[: self.count]

    @staticmethod
    def _room(count: int, num_bytes: int, device: torch.device) -> Tensor:
        # A tensor made under inference_mode could never be added to outside of it.
        with torch.inference_mode(False):
            return torch.empty((count, num_bytes), dtype=torch.uint8, device=device)
