"""Counts and precision sums from which every retrieval metric follows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hashkernels.reference.search import distance_blocks, row_blocks

_FRACTION_BITS = 40
_LOW_BITS = 20
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


def index_order_precision(
    queries: Tensor, database: Tensor, query_labels: Tensor, database_labels: Tensor, cutoffs: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Hits int64 [Q, K] and sums of precision float64 [Q, K] in the first k of each query's (distance, index) order.

    The sum runs over the relevant ranks r <= k of (hits up to r) / r, each rounded to a multiple of 2^-40 (half to
    even), so it is a sum of integers, exact in any order; it is turned into a float64 once.
    """
    device, num_database = queries.device, database.shape[0]
    last = torch.tensor(list(cutoffs), dtype=torch.int64, device=device) - 1
    hits = torch.empty((queries.shape[0], len(cutoffs)), dtype=torch.int64, device=device)
    precision = torch.empty((queries.shape[0], len(cutoffs)), dtype=torch.float64, device=device)
    ranks = torch.arange(1, num_database + 1, dtype=torch.float64, device=device)
    step = max(1, _PAIRS // num_database)
    for start in range(0, queries.shape[0], step):
        rows = slice(start, start + step)
        distances = torch.cat([block for _, block in distance_blocks(queries[rows], database)], dim=1)
        order = distances.argsort(dim=1, stable=True)
        found = relevant(query_labels[rows], database_labels).gather(1, order)
        cumulative = found.long().cumsum(1)
        terms = torch.round(cumulative / ranks * 2.0**_FRACTION_BITS).long() * found
        # Two halves keep the sums within int64, and their last addition is the only one that rounds.
        low = (terms & (2**_LOW_BITS - 1)).cumsum(1)[:, last]
        high = (terms >> _LOW_BITS).cumsum(1)[:, last] + (low >> _LOW_BITS)
        low = low & (2**_LOW_BITS - 1)
        hits[rows] = cumulative[:, last]
        precision[rows] = (high.double() * 2.0**_LOW_BITS + low.double()) * 2.0**-_FRACTION_BITS
    return hits, precision
