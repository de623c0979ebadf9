"""Precision in (distance, index) order: what a stable sort of the distances gives.

A database may lie in contiguous parts in several processes. The rank of an item is then its rank within its part, plus
a shift that depends only on its distance and follows from the counts of all parts. Counts are the largest arrays of an
evaluation, so they are looked at in blocks of queries. A kernel ranks items by labels; where items are left out of a
ranking, or relevance is given pair by pair, distances are sorted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from hashkernels import _ops
from hashkernels._ops.sums import Floats, Ints
from hashkernels._ranks import Ranks
from hashkernels.metrics._inputs import Retrieval
from hashkernels.metrics._task import Task, query_blocks
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


def ranked_by_index(
    task: Task, ks: Sequence[int], own: RetrievalCounts, overall: RetrievalCounts, ranks: Ranks, threads: int | None
) -> IndexOrder:
    """Index order at each cutoff of the parts of all ranks together; ``own`` are the counts of this part, ``overall``
    those of all."""
    by_kernel = bool(task.num_items) and task.relevance is None and task.left_out is None
    if by_kernel and ranks.alone and task.retrieval.queries.is_cuda:  # counts each chunk of the database anyway
        return sum_of_halves(_sums_by_kernel(task.retrieval, ks, None, threads))

    def of_block(block: slice) -> Ints:
        mine, whole = (np.stack((counts.total[block], counts.relevant[block])) for counts in (own, overall))
        begin = starts(whole)
        for earlier in ranks.gather_arrays(mine)[: ranks.rank]:
            begin += earlier
        part = task.of_queries(block)
        if by_kernel:
            return ranks.together(lambda: _sums_by_kernel(part.retrieval, ks, begin, threads))
        return ranks.together(lambda: _sums_by_sorting(part, ks, begin - starts(mine), threads))

    # A query takes its counts of every rank, twice while they come, and six arrays of their size besides.
    blocks = query_blocks(task.num_queries, 2 * own.total[0].nbytes * (2 * ranks.size + 6))
    return sum_of_halves(ranks.sum(np.concatenate([of_block(block) for block in blocks], axis=1)))


def starts(counts: Ints) -> Ints:
    """Items, and relevant items, before the first one at each distance, from counts int64 [2, Q, bits + 1]."""
    before: Ints = counts.cumsum(axis=2)
    before -= counts
    return before


def _sums_by_kernel(retrieval: Retrieval, ks: Sequence[int], begin: Ints | None, threads: int | None) -> Ints:
    """Hits, and the high and the low half of the summed precision in units of 2^-40, int64 [3, Q, K], which add up over
    the parts of a database. ``begin`` [2, Q, bits + 1]: what is ranked before this part at each distance."""
    queries, given = retrieval.queries, None
    if begin is not None:
        padded = np.zeros((*begin.shape[:2], 8 * queries.shape[1] + 1), dtype=np.int64)
        padded[:, :, : begin.shape[2]] = begin
        given = torch.from_numpy(padded).to(queries.device)
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


def _sums_by_sorting(task: Task, ks: Sequence[int], shifts: Ints, threads: int | None) -> Ints:
    """The same, each precision rounded to the unit, half to even, as in the kernel; the shifts [2, Q, bits + 1] are
    added to the rank and to the hit number that an item has within its part."""
    sums = np.zeros((3, task.num_queries, len(ks)), dtype=np.int64)
    if task.num_items == 0:
        return sums
    step = max(1, _PAIRS // task.num_items)
    for start in range(0, task.num_queries, step):
        block = slice(start, min(start + step, task.num_queries))
        rows, distances, ranks, hits = _relevant_places(task, block, threads)
        ranks += shifts[0, block][rows, distances]
        hits += shifts[1, block][rows, distances]
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
