"""Precision in (distance, index) order: what a stable sort of the distances gives.

A database may lie in contiguous parts in several processes. The rank of an item is then its rank within its part, plus
a shift that depends only on its distance and follows from the counts of all parts. A kernel ranks items by labels;
where items are left out of a ranking, or relevance is given pair by pair, distances are sorted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from hashkernels import _ops
from hashkernels._ops.sums import Floats, Ints
from hashkernels.metrics._inputs import Retrieval
from hashkernels.metrics._task import Task
from hashkernels.metrics.counts import RetrievalCounts

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


class Starts(NamedTuple):
    """Items and relevant items before the first of a part at each distance, of all that is ranked: int64
    [Q, bits + 1] each."""

    rank: Ints
    hit: Ints

    @classmethod
    def of_part(cls, overall: RetrievalCounts, earlier: Sequence[tuple[Ints, Ints]]) -> Starts:
        """From the counts of all parts together, and those (total, relevant) of each part before this one."""
        ranks, hits = (counts.cumsum(axis=1) - counts for counts in (overall.total, overall.relevant))
        for total, relevant in earlier:
            ranks, hits = ranks + total, hits + relevant
        return cls(ranks, hits)


def index_order_sums(
    task: Task, ks: Sequence[int], starts: Starts, own: RetrievalCounts, threads: int | None, *, alone: bool
) -> Ints:
    """Hits, and the high and the low half of the summed precision in units of 2^-40: int64 [3, Q, K].

    They add up over the parts of a database, of which this one has the counts ``own``; ``alone``: it is the only one.
    """
    if task.num_items and task.relevance is None and task.left_out is None:
        return _sums_by_kernel(task.retrieval, ks, starts, threads, alone=alone)
    own_starts = Starts.of_part(own, [])
    return _sums_by_sorting(task, ks, starts.rank - own_starts.rank, starts.hit - own_starts.hit, threads)


def _sums_by_kernel(
    retrieval: Retrieval, ks: Sequence[int], starts: Starts, threads: int | None, *, alone: bool
) -> Ints:
    queries, given = retrieval.queries, None
    if not (alone and queries.is_cuda):  # whose kernel counts each chunk of the database anyway
        given = torch.zeros((2, len(queries), 8 * queries.shape[1] + 1), dtype=torch.int64)
        given[:, :, : starts.rank.shape[1]] = torch.from_numpy(np.stack(starts))
        given = given.to(queries.device)
    sums = _ops.index_order_sums(
        queries,
        retrieval.database,
        retrieval.query_labels,
        retrieval.database_labels,
        ks,
        starts=None if given is None else (given[0], given[1]),
        threads=threads,
    )
    return sums.cpu().numpy()


def _sums_by_sorting(task: Task, ks: Sequence[int], rank_shift: Ints, hit_shift: Ints, threads: int | None) -> Ints:
    """Each precision is rounded to the unit, half to even, as in the kernel; the shifts [Q, bits + 1] are added to the
    rank and to the hit number that an item has within its part."""
    sums = np.zeros((3, task.num_queries, len(ks)), dtype=np.int64)
    if task.num_items == 0:
        return sums
    step = max(1, _PAIRS // task.num_items)
    for start in range(0, task.num_queries, step):
        block = slice(start, min(start + step, task.num_queries))
        rows, distances, ranks, hits = _relevant_places(task, block, threads)
        ranks += rank_shift[block][rows, distances]
        hits += hit_shift[block][rows, distances]
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
    units = np.rint(hits / ranks * 2.0**_ops.FRACTION_BITS).astype(np.int64)
    return units >> _ops.LOW_BITS, units & ((1 << _ops.LOW_BITS) - 1)


def ordered_sums(relevant: npt.NDArray[np.bool_], ks: Sequence[int]) -> Ints:
    """Hits and halves of the summed precision, int64 [3, Q, K], of rankings that stand in their order, bool [Q, n]."""
    last = np.asarray(ks) - 1
    hits = relevant.cumsum(axis=1)
    halves = precision_halves(hits, np.arange(1, relevant.shape[1] + 1))
    return np.stack([hits[:, last], *((half * relevant).cumsum(axis=1)[:, last] for half in halves)])


def sum_of_halves(sums: Ints) -> IndexOrder:
    """One correctly rounded float64 from hits and the summed halves, int64 [3, Q, K]."""
    hits, precision = _ops.precision_of(torch.from_numpy(sums))
    return IndexOrder(hits.numpy(), precision.numpy())


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
