"""Precision in (distance, index) order: what a stable sort of the distances gives.

The whole database in one place has a kernel of its own. Here are the cases that it does not cover: items left out of a
ranking, relevance given pair by pair, and a database whose contiguous parts lie in several processes. There the rank of
an item is its rank within its part, plus a shift that depends only on its distance and follows from the counts of all
parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from hashkernels import _ops
from hashkernels._ops.sums import Floats, Ints
from hashkernels.metrics._task import Task

_FRACTION_BITS = 40
_HALF_BITS = 20
_PAIRS = 1 << 22


class IndexOrder(NamedTuple):
    """Hits int64 [Q, K] and summed precision float64 [Q, K] in (distance, index) order at each cutoff."""

    hits: Ints
    precision_sum: Floats

    def by_cutoff(self, ks: Sequence[int]) -> dict[int, IndexOrder]:
        """Each column [Q] under its cutoff."""
        return {k: IndexOrder(self.hits[:, i], self.precision_sum[:, i]) for i, k in enumerate(ks)}

    def of_queries(self, block: slice) -> IndexOrder:
        """Those of a block of queries."""
        return IndexOrder(self.hits[block], self.precision_sum[block])


class Shift(NamedTuple):
    """Added to the rank and to the hit number of an item at each distance: int64 [Q, bits + 1] each."""

    rank: Ints
    hit: Ints


def whole_index_order(task: Task, counts: tuple[Ints, Ints], ks: Sequence[int], threads: int | None) -> IndexOrder:
    """Of a database that lies in this process, with its counts (total, relevant)."""
    if task.relevance is None and task.left_out is None:
        retrieval = task.retrieval
        total, relevant = (torch.from_numpy(part) for part in counts)
        hits, precision_sum = _ops.index_order_precision(
            retrieval.queries,
            retrieval.database,
            retrieval.query_labels,
            retrieval.database_labels,
            ks,
            threads,
            None if retrieval.queries.is_cuda else (total, relevant),
        )
        return IndexOrder(hits.cpu().numpy(), precision_sum.cpu().numpy())
    return sum_of_halves(index_order_sums(task, ks, None, threads))


def shift_of_part(own: tuple[Ints, Ints], earlier: tuple[Ints, Ints], overall: tuple[Ints, Ints]) -> Shift:
    """From counts (total, relevant) of this part, of all parts before it, and of all parts together."""
    before = (counts.cumsum(axis=1) - counts for counts in overall)
    own_before = (counts.cumsum(axis=1) - counts for counts in own)
    return Shift(*(b + e - o for b, e, o in zip(before, earlier, own_before, strict=True)))


def index_order_sums(task: Task, ks: Sequence[int], shift: Shift | None, threads: int | None) -> Ints:
    """Hits, and the high and the low half of the summed precision in units of 2^-40: int64 [3, Q, K].

    They add up over the parts of a database. Each precision is rounded to the unit, half to even, as in the kernel.
    """
    sums = np.zeros((3, task.num_queries, len(ks)), dtype=np.int64)
    if task.num_items == 0:
        return sums
    step = max(1, _PAIRS // task.num_items)
    for start in range(0, task.num_queries, step):
        block = slice(start, min(start + step, task.num_queries))
        rows, distances, ranks, hits = _relevant_places(task, block, threads)
        if shift is not None:
            ranks += shift.rank[block][rows, distances]
            hits += shift.hit[block][rows, distances]
        halves = precision_halves(hits, ranks)
        for column, k in enumerate(ks):
            inside = ranks <= k
            found = rows[inside]
            sums[0, block, column] = np.bincount(found, minlength=block.stop - block.start)
            for part, half in enumerate(halves, 1):
                # float64 adds integers exactly up to 2^53, and fewer than 2^33 terms below 2^20 stay under it
                sums[part, block, column] = np.bincount(found, half[inside], minlength=block.stop - block.start)
    return sums


def precision_halves(hits: Ints, ranks: Ints) -> tuple[Ints, Ints]:
    """hits / ranks in units of 2^-40, rounded half to even, as a high and a low half."""
    units = np.rint(hits / ranks * 2.0**_FRACTION_BITS).astype(np.int64)
    return units >> _HALF_BITS, units & ((1 << _HALF_BITS) - 1)


def ordered_sums(relevant: npt.NDArray[np.bool_], ks: Sequence[int]) -> Ints:
    """Hits and halves of the summed precision, int64 [3, Q, K], of rankings that stand in their order, bool [Q, n]."""
    last = np.asarray(ks) - 1
    hits = relevant.cumsum(axis=1)
    halves = precision_halves(hits, np.arange(1, relevant.shape[1] + 1))
    return np.stack([hits[:, last], *((half * relevant).cumsum(axis=1)[:, last] for half in halves)])


def sum_of_halves(sums: Ints) -> IndexOrder:
    """One correctly rounded float64 from hits and the summed halves, int64 [3, Q, K]."""
    hits, high, low = sums
    high = high + (low >> _HALF_BITS)
    low = low & ((1 << _HALF_BITS) - 1)
    precision = (high.astype(np.float64) * 2.0**_HALF_BITS + low.astype(np.float64)) * 2.0**-_FRACTION_BITS
    return IndexOrder(hits, precision)


def _relevant_places(task: Task, block: slice, threads: int | None) -> tuple[Ints, Ints, Ints, Ints]:
    """Query (within the block), distance, rank and hit number of each relevant item, the two last from 1."""
    dtype, beyond = (torch.uint8, 255) if task.retrieval.bits < 255 else (torch.int16, 2**15 - 1)
    found = _ops.hamming_distance(task.retrieval.queries[block], task.retrieval.database, dtype, threads)
    distances = found.cpu().numpy()
    if task.left_out is not None:
        absent = task.left_out.of_queries(block)
        distances[absent.queries, absent.items] = beyond
    order = distances.argsort(axis=1, kind="stable")
    rows, places = np.nonzero(np.take_along_axis(task.relevant_block(block), order, axis=1))
    first = np.searchsorted(rows, np.arange(block.stop - block.start))
    hits = np.arange(rows.size) - first[rows] + 1
    return rows, distances[rows, order[rows, places]].astype(np.int64), places + 1, hits
