"""Answers of the parts of a database, in their order, as the answer of the whole: the same bits as one search gives."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

Nearest = tuple[Tensor, Tensor]  # distances and positions [Q, k]
Within = tuple[Tensor, Tensor, Tensor, Tensor]  # offsets [Q + 1], distances, positions, counts [Q]


def merge_nearest(parts: Sequence[Nearest], k: int) -> Nearest:
    """The k nearest of all; the parts hold ascending positions, and each is by (distance, position)."""
    if len(parts) == 1:
        return parts[0]
    distances, positions = (torch.cat(column, dim=1) for column in zip(*parts, strict=True))
    # Stable, and the parts are in order: of equal distances the lower position stays in front.
    distances, order = torch.sort(distances, dim=1, stable=True)
    return distances[:, :k].contiguous(), positions.gather(1, order[:, :k])


def merge_within(parts: Sequence[Within], max_results: int | None) -> Within:
    """All within the radius, or the ``max_results`` nearest of them; the parts as in ``merge_nearest``."""
    if len(parts) == 1:
        return parts[0]
    offsets, distances, positions, counts = zip(*parts, strict=True)
    lengths = torch.stack([row.diff() for row in offsets])
    queries = torch.arange(lengths.shape[1], device="cpu")
    query = torch.cat([queries.repeat_interleave(row) for row in lengths])
    distance, position = torch.cat(distances), torch.cat(positions)
    order = torch.argsort(distance, stable=True)
    order = order[torch.argsort(query[order], stable=True)]
    length = lengths.sum(0)
    if max_results is not None:
        rank = torch.arange(len(order), device="cpu") - offsets_of(length)[:-1].repeat_interleave(length)
        order, length = order[rank < max_results], length.clamp(max=max_results)
    return offsets_of(length), distance[order], position[order], torch.stack(counts).sum(0)


def offsets_of(lengths: Tensor) -> Tensor:
    """Where rows of these lengths begin, one after the other, and where the last one ends."""
    return torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
