"""Counts and precision sums from which every retrieval metric follows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hashkernels.reference.search import distance_blocks, row_blocks

FRACTION_BITS = 40
LOW_BITS = 20  # of a sum in the units of precision, so that sums of halves stay within int64
_PAIRS = 1 << 21


def relevant(row_labels: Tensor, column_labels: Tensor) -> Tensor:
    """bool [R, C]: same class id (int64 [R], [C]), or a class in common (words int64 [R, W], [C, W])."""
    if row_labels.ndim == 1:
        return row_labels[:, None] == column_labels
    shared = torch.zeros((row_labels.shape[0], column_labels.shape[0]), dtype=torch.bool, device=row_labels.device)
    for word in range(row_labels.shape[1]):
        shared |= (row_labels[:, None, word] & column_labels[:, word]) != 0
    return shared


def retrieval_counts(
    queries: Tensor, database: Tensor, query_labels: Tensor, database_labels: Tensor
) -> tuple[Tensor, Tensor]:
    """How many items, and how many relevant ones, lie at each distance: two int64 [Q, 8 W + 1]."""
    levels = queries.shape[1] * 8 + 1
    total = torch.zeros((queries.shape[0], levels), dtype=torch.int64, device=queries.device)
    hits = torch.zeros_like(total)
    for rows in row_blocks(queries):
        num_rows = rows.stop - rows.start
        first = torch.arange(num_rows, device=queries.device)[:, None] * levels
        for columns, distances in distance_blocks(queries[rows], database):
            cells = first + distances
            wanted = relevant(query_labels[rows], database_labels[columns])
            total[rows] += torch.bincount(cells.flatten(), minlength=num_rows * levels).view(num_rows, levels)
            hits[rows] += torch.bincount(cells[wanted], minlength=num_rows * levels).view(num_rows, levels)
    return total, hits


def index_order_sums(
    queries: Tensor,
    database: Tensor,
    query_labels: Tensor,
    database_labels: Tensor,
    start_ranks: Tensor | None,
    start_hits: Tensor | None,
    cutoffs: Sequence[int],
) -> Tensor:
    """Hits, and the high and the low half of the summed precision, in the first k of each query's (distance, index)
    order: int64 [3, Q, K].

    The sum runs over the relevant ranks r <= k of (hits up to r) / r, each rounded to a multiple of 2^-40 (half to
    even); high * 2^20 + low, with low below 2^20, is the sum in these units. The starts, int64 [Q, 8 W + 1], are how
    many codes and relevant codes come before the first one at each distance, where that is known or where the database
    is a part of what is ranked.
    """
    device, num_database = queries.device, database.shape[0]
    sums = torch.empty((3, queries.shape[0], len(cutoffs)), dtype=torch.int64, device=device)
    places = torch.arange(1, num_database + 1, device=device)
    step = max(1, _PAIRS // max(num_database, 1))
    for start in range(0, queries.shape[0], step):
        rows = slice(start, start + step)
        distances = torch.cat([block for _, block in distance_blocks(queries[rows], database)], dim=1).long()
        distances, order = distances.sort(dim=1, stable=True)
        found = relevant(query_labels[rows], database_labels).gather(1, order)
        ranks, hits = places.expand_as(distances), found.long().cumsum(1)
        if start_ranks is not None and start_hits is not None:
            # Of the code that comes first at its distance the place and hits before it are those of the start.
            first = torch.searchsorted(distances, distances)
            ranks = ranks - first + start_ranks[rows].gather(1, distances)
            before = torch.nn.functional.pad(hits, (1, 0)).gather(1, first)
            hits = hits - before + start_hits[rows].gather(1, distances)
        terms = torch.round(hits.double() / ranks.double() * 2.0**FRACTION_BITS).long()
        for column, cutoff in enumerate(cutoffs):
            counted = found & (ranks <= cutoff)
            low = ((terms & (2**LOW_BITS - 1)) * counted).sum(1)
            sums[0, rows, column] = counted.sum(1)
            sums[1, rows, column] = ((terms >> LOW_BITS) * counted).sum(1) + (low >> LOW_BITS)
            sums[2, rows, column] = low & (2**LOW_BITS - 1)
    return sums
