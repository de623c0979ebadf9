"""A database in host memory, searched by queries on a GPU: it passes through the device chunk by chunk.

Each chunk is searched by the op itself. The k nearest of all are those among the k nearest of the chunks, and counts
add up; results do not depend on how the database is cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

CHUNK_BYTES = 1 << 28  # two of them are on the device at a time

# Distances and indices [Q, n] of the nearest; offsets, distances, indices and counts of a range search.
Nearest = tuple[Tensor, Tensor]
Ranges = tuple[Tensor, Tensor, Tensor, Tensor]


def streams(queries: Tensor, database: Tensor) -> bool:
    """Whether the database has to come to the queries."""
    return queries.is_cuda and database.device.type == "cpu"


def hamming_distance(queries: Tensor, database: Tensor, distance: Callable[[Tensor], Tensor]) -> Tensor:
    """[Q, N] of ``distance(chunk)``, [Q, n]."""
    whole: Tensor | None = None
    for first, part in chunks(database, queries.device):
        distances = distance(part)
        if len(part) == len(database):
            return distances
        if whole is None:
            whole = distances.new_empty((len(queries), len(database)))
        whole[:, first : first + len(part)] = distances
    assert whole is not None
    return whole


def topk(
    queries: Tensor,
    database: Tensor,
    k: int,
    allowed: Tensor | None,
    search: Callable[[Tensor, int, Tensor | None], Nearest],
) -> Nearest:
    """The k nearest by ``search(chunk, k, allowed)``."""
    found: Nearest | None = None
    for first, part, within in _chunks_and_masks(queries, database, allowed):
        found = _nearest_of(found, search(part, min(k, len(part)), within), first, k)
    assert found is not None
    return found


def range_search(
    queries: Tensor,
    database: Tensor,
    allowed: Tensor | None,
    max_results: int | None,
    search: Callable[[Tensor, Tensor | None], Ranges],
) -> Ranges:
    """All within the radius, or the ``max_results`` nearest, of ``search(chunk, allowed)``."""
    total = torch.zeros(len(queries), dtype=torch.int64, device=queries.device)
    rows, distances, indices = [], [], []
    for first, part, within in _chunks_and_masks(queries, database, allowed):
        offsets, near, at, counts = search(part, within)
        total += counts
        rows.append(torch.repeat_interleave(offsets.diff(), output_size=len(near)))
        distances.append(near)
        indices.append(at + first)
    # Chunks come in the order of the index, so a stable sort leaves equal distances in it.
    query, near, at = torch.cat(rows), torch.cat(distances), torch.cat(indices)
    order = (query * (8 * queries.shape[1] + 1) + near).sort(stable=True).indices
    query, near, at = query[order], near[order], at[order]
    offsets = _offsets(torch.bincount(query, minlength=len(queries)))
    if max_results is None:
        return offsets, near, at, total
    kept = torch.arange(len(query), device=query.device) - offsets[query] < max_results
    return _offsets(total.clamp(max=max_results)), near[kept], at[kept], total


def range_count(
    queries: Tensor, database: Tensor, allowed: Tensor | None, count: Callable[[Tensor, Tensor | None], Tensor]
) -> Tensor:
    """The sum over all chunks of ``count(chunk, allowed)``."""
    total = torch.zeros(len(queries), dtype=torch.int64, device=queries.device)
    for _, part, within in _chunks_and_masks(queries, database, allowed):
        total += count(part, within)
    return total


def range_nearest(
    queries: Tensor, database: Tensor, max_results: int, search: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]
) -> tuple[Tensor, Tensor, Tensor]:
    """Counts, and the ``max_results`` nearest, within the radius of ``search(chunk)``."""
    total = torch.zeros(len(queries), dtype=torch.int64, device=queries.device)
    found: Nearest | None = None
    for first, part in chunks(database, queries.device):
        counts, *nearest = search(part)
        total += counts
        found = _nearest_of(found, (nearest[0], nearest[1]), first, max_results)
    assert found is not None
    return total, *found


def retrieval_counts(
    queries: Tensor, database: Tensor, labels: Tensor, count: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
) -> tuple[Tensor, Tensor]:
    """The sums over all chunks of ``count(chunk, labels of the chunk)``."""
    sums: tuple[Tensor, Tensor] | None = None
    for _, part, own in _chunks_and(labels, database, queries.device):
        total, relevant = count(part, own)
        sums = (total, relevant) if sums is None else (sums[0].add_(total), sums[1].add_(relevant))
    assert sums is not None
    return sums


def index_order_sums(
    starts: tuple[Tensor, Tensor],
    queries: Tensor,
    database: Tensor,
    labels: Tensor,
    count: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
    add_up: Callable[[Tensor, Tensor, tuple[Tensor, Tensor]], Tensor],
) -> Tensor:
    """The sums over all chunks of ``add_up(chunk, labels of the chunk, starts)``: a chunk ranks behind what the chunks
    before it have at each distance, ``count(chunk, labels)``."""
    sums: Tensor | None = None
    for _, part, own in _chunks_and(labels, database, queries.device):
        of_part = add_up(part, own, starts)
        sums = of_part if sums is None else sums.add_(of_part)
        total, relevant = count(part, own)
        starts = starts[0] + total, starts[1] + relevant
    assert sums is not None
    return sums


def _offsets(counts: Tensor) -> Tensor:
    return torch.cat((counts.new_zeros(1), counts.cumsum(0)))


def _chunks_and_masks(
    queries: Tensor, database: Tensor, allowed: Tensor | None
) -> Iterator[tuple[int, Tensor, Tensor | None]]:
    """The chunks, each with what is allowed of it."""
    if allowed is not None:
        yield from _chunks_and(allowed, database, queries.device)
        return
    for first, part in chunks(database, queries.device):
        yield first, part, None


def _chunks_and(values: Tensor, database: Tensor, device: torch.device) -> Iterator[tuple[int, Tensor, Tensor]]:
    """The chunks, each with those of the ``values``, one for every code, that belong to it."""
    for first, part in chunks(database, device, values[:1].nbytes):
        yield first, part, values[first : first + len(part)].to(device)


def _nearest_of(found: Nearest | None, more: Nearest, first: int, k: int) -> Nearest:
    """The k nearest of those found so far and those of the chunk that begins at row ``first``."""
    distances, indices = more
    indices = torch.where(indices < 0, indices, indices + first)
    if found is None:
        return distances, indices
    distances, indices = torch.cat((found[0], distances), dim=1), torch.cat((found[1], indices), dim=1)
    # Equal distances stay in the order of the index, since chunks come in it.
    distances, order = distances.sort(dim=1, stable=True)
    return distances[:, :k].contiguous(), indices.gather(1, order[:, :k])


def chunks(database: Tensor, device: torch.device, beside: int = 0) -> Iterator[tuple[int, Tensor]]:
    """The first row and the rows, on the device, of each chunk in order. A chunk is gone when the next one is asked
    for, by the device's own order of work; nothing here waits for what is done with it. ``beside``: bytes of a row that
    come to the device beside its code."""
    rows = max(CHUNK_BYTES // max(database.shape[1] + beside, 1), 1)
    parts = [(first, database[first : first + rows]) for first in range(0, max(len(database), 1), rows)]
    if device.type != "cuda":
        yield from parts
        return
    current = torch.cuda.current_stream(device)
    slots = [_Slot(database, min(rows, len(database)), device) for _ in parts[:2]]
    try:
        slots[0].send(parts[0][1])
        for i, (first, part) in enumerate(parts):
            yield first, slots[i % 2].receive(len(part), current)
            slots[i % 2].read_by(current)
            if i + 1 < len(parts):
                slots[(i + 1) % 2].send(parts[i + 1][1])
    finally:  # also where the caller wants no more, or failed
        for slot in slots:
            slot.finish()


class _Slot:
    """Room for a chunk on the device and, unless the database itself is pinned, in pinned host memory."""

    def __init__(self, database: Tensor, rows: int, device: torch.device) -> None:
        shape = (rows, database.shape[1])
        self._room = torch.empty(shape, dtype=torch.uint8, device=device)
        self._staging = (
            None if database.is_pinned() else torch.empty(shape, dtype=torch.uint8, pin_memory=True, device="cpu")
        )
        self._copying = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self._read = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self.read_by(torch.cuda.current_stream(device))  # the room may be memory that is still in use there

    def send(self, part: Tensor) -> None:
        """Copies on a stream of its own, beside the search of the other slot's chunk."""
        source = part
        if self._staging is not None:
            self._copied.synchronize()  # with the last copy out of it; the search goes on
            source = self._staging[: len(part)].copy_(part)
        with torch.cuda.stream(self._copying):
            self._copying.wait_event(self._read)
            self._room[: len(part)].copy_(source, non_blocking=True)
            self._copied.record(self._copying)

    def receive(self, rows: int, current: torch.cuda.Stream) -> Tensor:
        """The chunk, for what is asked of ``current`` from here on."""
        current.wait_event(self._copied)
        return self._room[:rows]

    def read_by(self, current: torch.cuda.Stream) -> None:
        """What ``current`` was asked for so far may read the chunk; then the next one may come."""
        self._read.record(current)

    def finish(self) -> None:
        """Waits until the database, if copies were made of itself, is no longer read: its owner may change it then."""
        if self._staging is None:
            self._copied.synchronize()
