"""Several storages searched as one: the segments of a file, and what was added since."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from hashkernels import _ops
from hashkernels.index.merging import Nearest, Within, merge_nearest, merge_within
from hashkernels.index.storage import PlainCodes, Storage, new_storage


class SegmentedStorage:
    """Segments that stay as they are (a mapped file may not be written to), and one behind them that grows."""

    def __init__(self, fixed: tuple[Storage, ...], tail: Storage) -> None:
        self._fixed, self.tail = fixed, tail
        self._parts = [part for part in (*fixed, tail) if part.count]
        self._starts = [0]
        for part in self._parts:
            self._starts.append(self._starts[-1] + part.count)
        self.num_bytes = tail.num_bytes
        self.count = self._starts[-1]
        self.plain: PlainCodes | None = self._parts[0].plain if len(self._parts) == 1 else None

    def added(self, codes: Tensor) -> SegmentedStorage:
        return SegmentedStorage(self._fixed, self.tail.added(codes))

    def topk(self, queries: Tensor, k: int, allowed: Tensor | None, threads: int | None) -> Nearest:
        found = []
        for part, mask, start in self._each(allowed):
            distances, positions = part.topk(queries, min(k, part.count), mask, threads)
            found.append((distances, torch.where(positions < 0, positions, positions + start)))
        return merge_nearest(found, k)

    def range_search(
        self, queries: Tensor, radius: int, allowed: Tensor | None, max_results: int | None, threads: int | None
    ) -> Within:
        found = []
        for part, mask, start in self._each(allowed):
            offsets, distances, positions, counts = part.range_search(queries, radius, mask, max_results, threads)
            found.append((offsets, distances, positions + start, counts))
        return merge_within(found, max_results)

    def range_count(self, queries: Tensor, radius: int, allowed: Tensor | None, threads: int | None) -> Tensor:
        return torch.stack(
            [part.range_count(queries, radius, mask, threads) for part, mask, _ in self._each(allowed)]
        ).sum(0)

    def gather(self, positions: Tensor) -> Tensor:
        codes = torch.empty((len(positions), self.num_bytes), dtype=torch.uint8, device="cpu")
        which = torch.bucketize(positions, torch.tensor(self._starts[1:], device="cpu"), right=True)
        for i, part in enumerate(self._parts):
            mine = which == i
            codes[mine] = part.gather(positions[mine] - self._starts[i])
        return codes

    def planes(self) -> Tensor:
        whole = torch.empty(
            (-(-self.count // _ops.BLOCK_CODES), 8 * self.num_bytes, 8), dtype=torch.int64, device="cpu"
        )
        for part, _, start in self._each(None):
            if start % _ops.BLOCK_CODES == 0:
                planes = part.planes()
                whole[start // _ops.BLOCK_CODES :][: len(planes)] = planes
            else:
                _ops.slice_codes(part.gather(torch.arange(part.count, device="cpu")), start, whole)
        return whole

    def method(self, queries: Tensor, threads: int | None, k: int | None = None, radius: int | None = None) -> str:
        return max(self._parts, key=lambda part: part.count).method(queries, threads, k, radius)

    def _each(self, allowed: Tensor | None) -> list[tuple[Storage, Tensor | None, int]]:
        ranges = zip(self._parts, itertools.pairwise(self._starts), strict=True)
        return [(part, None if allowed is None else allowed[start:end], start) for part, (start, end) in ranges]


def segmented(fixed: list[Storage], num_bytes: int) -> Storage:
    """Over storages that may not be added to."""
    return SegmentedStorage(tuple(fixed), new_storage(num_bytes))
