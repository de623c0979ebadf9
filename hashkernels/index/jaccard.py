"""Search by Jaccard distance (one less the Tanimoto similarity of fingerprints), exactly.

The distance of codes with p and q bits set, h of them different, is 2 h / (p + q + h): the share of the bits set in
either that are not set in both; of two empty codes it is 0. Numerator and denominator are integers of at most 14 bits.
So float64, whose division rounds correctly everywhere, has one value for equal fractions and different ones in the
right order for unlike fractions: (distance, index) is an exact order, the same on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, NamedTuple

import torch
from torch import Tensor

from hashkernels import _ops
from hashkernels._arrays import ArrayT, like
from hashkernels._validation import check_int, check_real
from hashkernels.index.contents import Contents
from hashkernels.index.merging import Nearest, Within, merge_within, offsets_of
from hashkernels.index.snapshot import Snapshot

_DISTANCES_AT_ONCE = 1 << 22
_QUERIES_AT_ONCE = 1 << 13
_POPCOUNT = torch.tensor([n.bit_count() for n in range(256)], dtype=torch.int32, device="cpu")


class JaccardResult(NamedTuple, Generic[ArrayT]):
    """The nearest codes of each query, by (distance, position)."""

    distances: ArrayT  # float64 [Q, k], inf behind the last
    indices: ArrayT  # int64 or uint64 [Q, k], -1 there


class JaccardRangeResult(NamedTuple, Generic[ArrayT]):
    """All codes within a distance: those of query q are at ``offsets[q]:offsets[q + 1]``, by (distance, position)."""

    offsets: ArrayT  # int64 [Q + 1]
    distances: ArrayT  # float64 [offsets[-1]]
    indices: ArrayT  # int64 or uint64 [offsets[-1]]


class JaccardSearch(Contents):
    """Search by Jaccard distance, for ``BinaryIndex``."""

    def jaccard_search(
        self, queries: ArrayT, k: int, *, filter: ArrayT | None = None, threads: int | None = None
    ) -> JaccardResult[ArrayT]:
        """The k codes of least Jaccard distance to each query, by (distance, position), as ids.

        Args:
            queries, filter, threads: as in ``search``.
            k: in 1..``ntotal``.

        Returns:
            ``JaccardResult(distances, indices)``, float64 and int64 [Q, k]. Where the filter leaves fewer than k, rows
            end in (inf, -1).

        Raises:
            ValueError, TypeError: as ``search``.

        >>> import numpy as np
        >>> from hashkernels import BinaryIndex
        >>> index = BinaryIndex(8)
        >>> index.add(np.array([[0b1110], [0b0001], [0b1100]], np.uint8))
        >>> index.jaccard_search(np.array([[0b1000]], np.uint8), 2)
        JaccardResult(distances=array([[0.5       , 0.66666667]]), indices=array([[2, 0]]))
        """
        codes, state, allowed = self._filtered(queries, filter)
        here, codes = codes.device, codes.cpu()
        k = check_int("k", k, 1, state.storage.count)
        parts = [_nearest(part, k, state, allowed, threads) for part in torch.split(codes, _QUERIES_AT_ONCE)]
        distances, positions = (torch.cat(column) for column in zip(*parts, strict=True))
        return JaccardResult(like(queries, distances.to(here)), like(queries, state.ids_of(positions).to(here)))

    def jaccard_range_search(
        self, queries: ArrayT, distance: float, *, filter: ArrayT | None = None, threads: int | None = None
    ) -> JaccardRangeResult[ArrayT]:
        """All codes whose Jaccard distance to a query is ``distance`` or less.

        Args:
            queries, filter, threads: as in ``search``.
            distance: in 0..1. A Tanimoto similarity of at least a / b is a distance of at most (b - a) / b. That is
                exact for integers a and b, as 0.2 is for 4 / 5, while 1 - 0.8 is less than 0.2 in float64.

        Returns:
            ``JaccardRangeResult(offsets, distances, indices)``, int64 [Q + 1], float64 and int64 [total].

        Raises:
            ValueError, TypeError: as ``search``.

        >>> import numpy as np
        >>> from hashkernels import BinaryIndex
        >>> index = BinaryIndex(8)
        >>> index.add(np.array([[0b1111]], np.uint8))
        >>> index.jaccard_range_search(np.array([[0b11111]], np.uint8), (5 - 4) / 5)
        JaccardRangeResult(offsets=array([0, 1]), distances=array([0.2]), indices=array([0]))
        """
        codes, state, allowed = self._filtered(queries, filter)
        here, codes = codes.device, codes.cpu()
        limit = check_real("distance", distance, 0, 1)
        parts = [_all_within(part, limit, state, allowed, threads) for part in torch.split(codes, _QUERIES_AT_ONCE)]
        _, distances, positions, counts = (torch.cat(column) for column in zip(*parts, strict=True))
        found = (offsets_of(counts), distances, state.ids_of(positions))
        return JaccardRangeResult(*(like(queries, part.to(here)) for part in found))


def _nearest(queries: Tensor, k: int, state: Snapshot, allowed: Tensor | None, threads: int | None) -> Nearest:
    """Distances float64 [Q, k] and positions."""
    bound = torch.full((len(queries),), torch.inf, dtype=torch.float64, device="cpu")
    found = _nothing(len(queries))
    for start, distances in _tiles(queries, state, allowed, threads):
        # A later code at the distance of the k-th so far comes behind it, so only smaller ones can get in.
        found = merge_within([found, _within(distances, distances < bound[:, None], start)], k)
        full = found[0].diff() == k
        bound[full] = found[1][found[0][1:][full] - 1]
    offsets, near, positions, _ = found
    slot = torch.arange(k, device="cpu") < offsets.diff()[:, None]
    rows = torch.full(slot.shape, torch.inf, dtype=torch.float64, device="cpu").masked_scatter(slot, near)
    return rows, torch.full(slot.shape, -1, device="cpu").masked_scatter(slot, positions)


def _all_within(queries: Tensor, limit: float, state: Snapshot, allowed: Tensor | None, threads: int | None) -> Within:
    tiles = _tiles(queries, state, allowed, threads)
    parts = [_within(tile, tile <= limit, start) for start, tile in tiles]
    return merge_within([*parts, _nothing(len(queries))], None)


def _tiles(
    queries: Tensor, state: Snapshot, allowed: Tensor | None, threads: int | None
) -> Iterator[tuple[int, Tensor]]:
    """Distances float64 [Q, n] to the codes from a position on; inf where the filter leaves a code out."""
    step = _DISTANCES_AT_ONCE // max(len(queries), 1)
    query_bits = _bits_set(queries)[:, None]
    for start in range(0, state.storage.count, step):
        codes = state.storage.gather(torch.arange(start, min(start + step, state.storage.count), device="cpu"))
        different = _ops.hamming_distance(queries, codes, torch.int32, threads)
        either_twice = query_bits + _bits_set(codes) + different
        distances = (2 * different).double() / either_twice.clamp(min=1)
        if allowed is not None:
            distances.masked_fill_(~allowed[start : start + step].cpu(), torch.inf)
        yield start, distances


def _bits_set(codes: Tensor) -> Tensor:
    return _POPCOUNT[codes.int()].sum(1, dtype=torch.int32)


def _within(distances: Tensor, chosen: Tensor, start: int) -> Within:
    position = chosen.nonzero()[:, 1]
    counts = chosen.sum(1)
    return offsets_of(counts), distances[chosen], position + start, counts


def _nothing(num_queries: int) -> Within:
    zeros = torch.zeros(num_queries + 1, dtype=torch.int64, device="cpu")
    return zeros, torch.zeros(0, dtype=torch.float64, device="cpu"), zeros[:0], zeros[1:]
