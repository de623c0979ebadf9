"""Answers of the parts of a database, in their order, as the answer of the whole: the same bits as one search gives.

In NumPy, on this thread: its stable sort merges the runs that the parts are, where torch's begins from nothing, and
torch's threads would wait on the cores that the next search needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hashkernels._validation import MAX_BITS

Nearest = tuple[Tensor, Tensor]  # distances and positions [Q, k]
Within = tuple[Tensor, Tensor, Tensor, Tensor]  # offsets [Q + 1], distances, positions, counts [Q]


def merge_nearest(parts: Sequence[Nearest], k: int) -> Nearest:
    """The k nearest of all; the parts hold ascending positions, and each is by (distance, position)."""
    if len(parts) == 1:
        return parts[0]
    columns = ([column.numpy() for column in row] for row in zip(*parts, strict=True))
    distances, positions = (np.concatenate(column, axis=1) for column in columns)
    # Stable, and the parts are in order: of equal distances the lower position stays in front.
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    distances, positions = (np.take_along_axis(column, order, axis=1) for column in (distances, positions))
    return torch.from_numpy(distances), torch.from_numpy(positions)


def merge_within(parts: Sequence[Within], max_results: int | None) -> Within:
    """All within the radius, or the ``max_results`` nearest of them; the parts as in ``merge_nearest``."""
    if len(parts) == 1:
        return parts[0]
    offsets, distances, positions, counts = ([column.numpy() for column in row] for row in zip(*parts, strict=True))
    lengths = [np.diff(row) for row in offsets]
    queries = np.arange(len(counts[0]))
    distance = np.concatenate(distances)
    order = _order(np.concatenate([queries.repeat(row) for row in lengths]), distance)
    length = np.sum(lengths, axis=0)
    if max_results is not None:
        rank = np.arange(len(order)) - (length.cumsum() - length).repeat(length)
        order, length = order[rank < max_results], length.clip(max=max_results)
    merged = length, distance[order], np.concatenate(positions)[order], np.sum(counts, axis=0)
    row_lengths, near, position, count = map(torch.from_numpy, merged)
    return offsets_of(row_lengths), near, position, count


def _order(query: npt.NDArray[Any], distance: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """What puts finds in order by (query, distance, place)."""
    if distance.dtype == np.int32:
        return np.argsort(query * (MAX_BITS + 1) + distance, kind="stable")
    return np.asarray(np.lexsort((distance, query)))


def offsets_of(lengths: Tensor) -> Tensor:
    """Where rows of these lengths begin, one after the other, and where the last one ends."""
    return torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
