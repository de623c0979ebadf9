"""The k nearest items of each query over a stream of parts of a database, with their relevance."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from hashkernels import _ops
from hashkernels._ops.sums import Ints
from hashkernels._ranks import Ranks
from hashkernels.metrics._index_order import IndexOrder, ordered_sums, sum_of_halves
from hashkernels.metrics._pairs import Pairs
from hashkernels.metrics._task import Task

_FAR = np.iinfo(np.int16).max
_ROWS = 256
_QUERIES = 4096
# Items for each of the k nearest from which on a search for these takes less than a pass over all, as measured.
_ITEMS_PER_NEAREST = 100


def search_pays(task: Task, num_database: int, k: int) -> bool:
    """Whether index order up to rank ``k`` is found sooner from the nearest items than from ranks of all items.

    ``task`` has what is left out of a database of ``num_database`` items, the same on every rank. On a GPU labels are
    ranked by a kernel that reads each pair once.
    """
    by_kernel = task.relevance is None and task.left_out is None and task.retrieval.queries.is_cuda
    left_out = task.left_out_per_query()
    wanted = k + (0 if left_out is None else int(left_out.max()))
    return not by_kernel and _ITEMS_PER_NEAREST * wanted <= num_database


def nearest_index_order(task: Task, ks: Sequence[int], ranks: Ranks, threads: int | None) -> IndexOrder:
    """Index order at each cutoff of a database whose parts lie in several processes, from the nearest items of each
    part. Collective."""
    parts = []
    for start in range(0, task.num_queries, _QUERIES):
        block = task.of_queries(slice(start, min(start + _QUERIES, task.num_queries)))
        nearest = Nearest(block.num_queries, ks[-1])
        ranks.together(partial(nearest.add, block, threads))
        parts.append(nearest.across(ranks).index_order(ks))
    return IndexOrder(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


class Nearest:
    """Distances int16 [Q, k] and relevance bool [Q, k] in (distance, index) order; padded with the greatest int16."""

    def __init__(self, num_queries: int, k: int) -> None:
        self.distances: npt.NDArray[np.int16] = np.full((num_queries, k), _FAR, dtype=np.int16)
        self.relevant: npt.NDArray[np.bool_] = np.zeros((num_queries, k), dtype=np.bool_)

    def copy(self) -> Nearest:
        """The same, apart from this."""
        other = Nearest(*self.distances.shape)
        other.distances[:], other.relevant[:] = self.distances, self.relevant
        return other

    def add(self, task: Task, threads: int | None) -> None:
        """Items that come after all that were added before."""
        if task.num_items == 0:
            return
        part, spare = task.retrieval, 0
        if task.left_out is not None and task.left_out.queries.size:
            spare = int(np.bincount(task.left_out.queries).max())
        k = min(self.distances.shape[1] + spare, task.num_items)
        for start in range(0, int(part.queries.shape[0]), _ROWS):
            block = slice(start, start + _ROWS)
            distances, indices = _ops.topk(part.queries[block], part.database, k, None, threads)
            near = distances.cpu().numpy().astype(np.int16)
            queries = np.arange(start, start + len(near)).repeat(k)
            pairs = Pairs.ungraded(queries, indices.cpu().numpy().ravel())
            marks = task.relevant_among(pairs).reshape(near.shape)
            if task.left_out is not None and spare:
                absent = task.left_out.contains(pairs.queries, pairs.items).reshape(near.shape)
                near[absent], marks[absent] = _FAR, False
            self._merge(block, near, marks)

    def across(self, ranks: Ranks) -> Nearest:
        """Those of all ranks, whose parts of the database follow one another."""
        if ranks.alone:
            return self
        merged = Nearest(*self.distances.shape)
        for part in ranks.gather_arrays(2 * self.distances.astype(np.int64) + self.relevant):
            merged._merge(slice(None), (part >> 1).astype(np.int16), part & 1 != 0)
        return merged

    def index_order(self, ks: Sequence[int]) -> IndexOrder:
        """Hits and summed precision at each cutoff, all at most k."""
        parts: list[Ints] = []
        for start in range(0, self.relevant.shape[0], _ROWS):
            parts.append(ordered_sums(self.relevant[start : start + _ROWS], ks))
        return sum_of_halves(np.concatenate(parts, axis=1))

    def _merge(self, block: slice, distances: npt.NDArray[np.int16], relevant: npt.NDArray[np.bool_]) -> None:
        k = self.distances.shape[1]
        together = np.concatenate([self.distances[block], distances], axis=1)
        # stable: at one distance what came earlier stays first
        order = together.argsort(axis=1, kind="stable")[:, :k]
        self.distances[block] = np.take_along_axis(together, order, axis=1)
        marks = np.concatenate([self.relevant[block], relevant], axis=1)
        self.relevant[block] = np.take_along_axis(marks, order, axis=1)
