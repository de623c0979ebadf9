"""Hamming distances, the k nearest, and all within a radius."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hashkernels.reference.codes import unpack_codes

QUERY_BLOCK = 256
DATABASE_BLOCK = 1 << 14
PADDING_DISTANCE = 2**31 - 1
_NOT_ALLOWED = 2**63 - 1


def hamming_distance(queries: Tensor, database: Tensor, dtype: torch.dtype) -> Tensor:
    """Distances [Q, N] between uint8 codes [Q, W] and [N, W]."""
    out = torch.empty((queries.shape[0], database.shape[0]), dtype=dtype, device=queries.device)
    for rows in row_blocks(queries):
        for columns, distances in distance_blocks(queries[rows], database):
            out[rows, columns] = distances.to(dtype)
    return out


def topk(queries: Tensor, database: Tensor, k: int, allowed: Tensor | None) -> tuple[Tensor, Tensor]:
    """The k smallest by (distance, index): int32 [Q, k] and int64 [Q, k], padded with (INT32_MAX, -1)."""
    num_database = database.shape[0]
    distances = torch.empty((queries.shape[0], k), dtype=torch.int32, device=queries.device)
    indices = torch.empty((queries.shape[0], k), dtype=torch.int64, device=queries.device)
    for rows in row_blocks(queries):
        # One integer orders by distance, then index; no two of a row are equal but for those that are not allowed.
        best = torch.empty((queries[rows].shape[0], 0), dtype=torch.int64, device=queries.device)
        for columns, block in distance_blocks(queries[rows], database):
            keys = block.long() * num_database + _positions(columns, block)
            if allowed is not None:
                keys = keys.masked_fill(~allowed[columns], _NOT_ALLOWED)
            best = torch.cat((best, keys), dim=1)
            best = best.topk(min(k, best.shape[1]), dim=1, largest=False, sorted=True).values
        missing = best == _NOT_ALLOWED
        distances[rows] = (best // num_database).masked_fill(missing, PADDING_DISTANCE).to(torch.int32)
        indices[rows] = (best % num_database).masked_fill(missing, -1)
    return distances, indices


def range_search(
    queries: Tensor, database: Tensor, radius: int, allowed: Tensor | None, max_results: int | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Everything within ``radius``, at most the ``max_results`` nearest of a query: offsets int64 [Q + 1], int32 and
    int64 rows by (distance, index), and counts int64 [Q] of all that is within."""
    num_queries, num_database = queries.shape[0], database.shape[0]
    counts = torch.zeros(num_queries, dtype=torch.int64, device=queries.device)
    found_distances = [torch.empty(0, dtype=torch.int32, device=queries.device)]
    found_indices = [torch.empty(0, dtype=torch.int64, device=queries.device)]
    for rows in row_blocks(queries):
        keys = []
        for columns, block in distance_blocks(queries[rows], database):
            row, column = torch.nonzero(_within(block, columns, radius, allowed), as_tuple=True)
            keys.append((row * (radius + 1) + block[row, column]) * num_database + column + columns.start)
        ordered = torch.cat(keys).sort().values
        row_and_distance = ordered // num_database
        row = row_and_distance // (radius + 1)
        counts[rows] = torch.bincount(row, minlength=rows.stop - rows.start)
        if max_results is not None:
            rank = torch.arange(len(row), device=row.device) - (counts[rows].cumsum(0) - counts[rows])[row]
            ordered, row_and_distance = ordered[rank < max_results], row_and_distance[rank < max_results]
        found_distances.append((row_and_distance % (radius + 1)).to(torch.int32))
        found_indices.append(ordered % num_database)
    kept = counts if max_results is None else counts.clamp(max=max_results)
    offsets = torch.cat((kept.new_zeros(1), kept.cumsum(0)))
    return offsets, torch.cat(found_distances), torch.cat(found_indices), counts


def range_count(queries: Tensor, database: Tensor, radius: int, allowed: Tensor | None) -> Tensor:
    """How many codes lie within ``radius``, int64 [Q]."""
    counts = torch.zeros(queries.shape[0], dtype=torch.int64, device=queries.device)
    for rows in row_blocks(queries):
        for columns, block in distance_blocks(queries[rows], database):
            counts[rows] += _within(block, columns, radius, allowed).sum(1)
    return counts


def _within(block: Tensor, columns: slice, radius: int, allowed: Tensor | None) -> Tensor:
    near = block <= radius
    return near if allowed is None else near & allowed[columns]


def least_distance(words: npt.NDArray[np.uint64]) -> int:
    """The least distance between two rows of packed words [M >= 2, W]: in NumPy, as class centers are."""
    columns = np.ascontiguousarray(words.T)
    least = 64 * len(columns)
    for row in range(columns.shape[1] - 1):
        counts = (np.bitwise_count(column[row + 1 :] ^ column[row]) for column in columns)
        distances = next(counts).astype(np.uint16)
        for count in counts:
            distances += count
        least = min(least, int(distances.min()))
    return least


def row_blocks(queries: Tensor) -> Iterator[slice]:
    """Slices of the queries, few enough that a block of distances stays small."""
    num_queries = queries.shape[0]
    for start in range(0, num_queries, QUERY_BLOCK):
        yield slice(start, min(start + QUERY_BLOCK, num_queries))


def distance_blocks(queries: Tensor, database: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Distances int32 [Q, n] to one slice of the database after another."""
    num_bits = queries.shape[1] * 8
    signs = unpack_codes(queries, num_bits, little=False).float()
    for start in range(0, database.shape[0], DATABASE_BLOCK):
        columns = slice(start, min(start + DATABASE_BLOCK, database.shape[0]))
        others = unpack_codes(database[columns], num_bits, little=False).float()
        # Sums of at most 4096 products of -1 and +1 are exact in float32, but not in the half types of autocast.
        with torch.autocast(queries.device.type, enabled=False):
            products = signs @ others.T
        yield columns, ((num_bits - products) / 2).to(torch.int32)


def _positions(columns: slice, like: Tensor) -> Tensor:
    return torch.arange(columns.start, columns.stop, device=like.device)
