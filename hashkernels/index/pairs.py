"""An index joined with itself: pairs of near codes, and the groups that they connect."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from hashkernels._validation import check_int, check_threads, require
from hashkernels.index.contents import Contents
from hashkernels.index.snapshot import Snapshot

_QUERIES_AT_ONCE = 4096


class Pairs(NamedTuple):
    """Pairs of codes, each once, by (first, second), where ``first`` was added before ``second``."""

    first: npt.NDArray[Any]  # ids [n]
    second: npt.NDArray[Any]  # ids [n]
    distances: npt.NDArray[np.int32]  # [n]


class SelfJoin(Contents):
    """Near pairs within an index, for ``BinaryIndex``."""

    def pairs_within(self, radius: int, *, threads: int | None = None) -> Pairs:
        """All pairs of codes whose distance is ``radius`` bits or less, as ids.

        The memory grows with the number of pairs, the time with the square of that of codes; not so for a small radius
        in an index of ``structure="hash"``, which finds the duplicates of a million codes of 64 bits in a second.

        Args:
            radius: in 0..``bits``; at 0 the pairs are duplicates.
            threads: how many threads to use; default ``hashkernels.get_num_threads()``.

        Returns:
            ``Pairs(first, second, distances)`` by position of the first, then of the second.

        Raises:
            ValueError: ``radius`` or ``threads`` is out of range.
            TypeError: one of them is no int.

        >>> from hashkernels import BinaryIndex
        >>> index = BinaryIndex(8)
        >>> index.add(np.array([[1], [3], [255]], np.uint8))
        >>> index.pairs_within(1)
        Pairs(first=array([0]), second=array([1]), distances=array([1], dtype=int32))
        """
        state, radius = self._checked_state(), check_int("radius", radius, 0, self._bits)
        first, second, distances = _pairs(state, radius, threads)
        if state.ids is not None:
            first, second = state.ids.values[first], state.ids.values[second]
        return Pairs(first, second, distances)

    def components_within(self, radius: int, *, threads: int | None = None) -> npt.NDArray[np.int64]:
        """The connected groups of codes, where those within ``radius`` bits of each other are connected.

        So a group holds all that can be reached by steps of ``radius`` bits or less: near duplicates, say.

        Returns:
            int64 [ntotal], by position: the number of the group; groups are numbered by their first code.

        Raises:
            ValueError: ``radius`` or ``threads`` is out of range.
            TypeError: one of them is no int.
            ImportError: scipy is missing.

        >>> from hashkernels import BinaryIndex
        >>> index = BinaryIndex(8)
        >>> index.add(np.array([[255], [1], [3], [127]], np.uint8))
        >>> index.components_within(1)
        array([0, 1, 1, 0])
        """
        sparse, graph = require("scipy.sparse", extra="centers"), require("scipy.sparse.csgraph", extra="centers")
        state, radius = self._checked_state(), check_int("radius", radius, 0, self._bits)
        first, second, _ = _pairs(state, radius, threads)
        count = state.storage.count
        if count == 0:
            return np.empty(0, np.int64)
        edges = sparse.coo_array((np.ones(len(first), bool), (first, second)), shape=(count, count))
        _, labels = graph.connected_components(edges, directed=False)
        _, start, group = np.unique(labels, return_index=True, return_inverse=True)
        by_start = np.empty(len(start), np.int64)
        by_start[np.argsort(start)] = np.arange(len(start))
        return by_start[group]


def _pairs(
    state: Snapshot, radius: int, threads: int | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    threads = check_threads(threads)
    parts = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int32))]
    for start in range(0, state.storage.count, _QUERIES_AT_ONCE):
        rows = torch.arange(start, min(start + _QUERIES_AT_ONCE, state.storage.count), device="cpu")
        found = state.storage.range_search(state.storage.gather(rows), radius, None, None, threads)
        # In NumPy, on this thread: torch's threads would wait on the cores that the next search needs.
        offsets, distances, positions = (column.numpy() for column in found[:3])
        owners = rows.numpy().repeat(np.diff(offsets))
        once = positions > owners
        first, second, distance = owners[once], positions[once], distances[once]
        order = np.lexsort((second, first))
        parts.append((first[order], second[order], distance[order]))
    columns = tuple(zip(*parts, strict=True))
    return np.concatenate(columns[0]), np.concatenate(columns[1]), np.concatenate(columns[2])
