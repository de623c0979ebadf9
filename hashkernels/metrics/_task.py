"""What is ranked for whom: codes, what is relevant, and what is left out of each query's ranking."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hashkernels import _ops
from hashkernels._ops.sums import Ints
from hashkernels.metrics._inputs import Retrieval
from hashkernels.metrics._pairs import Pairs

_BLOCK_BYTES = 64 << 20


class Task(NamedTuple):
    """Queries against one part of a database; items of pairs are numbered within the part.

    Where ``relevance`` is given it says what is relevant, and names no item that is left out.
    """

    retrieval: Retrieval
    relevance: Pairs | None = None
    left_out: Pairs | None = None

    @property
    def num_queries(self) -> int:
        """Q."""
        return int(self.retrieval.queries.shape[0])

    @property
    def num_items(self) -> int:
        """Items of this part."""
        return int(self.retrieval.database.shape[0])

    def of_queries(self, block: slice) -> Task:
        """That of a contiguous block of queries."""
        retrieval = self.retrieval._replace(
            queries=self.retrieval.queries[block], query_labels=self.retrieval.query_labels[block]
        )
        return Task(retrieval, *(None if pairs is None else pairs.of_queries(block) for pairs in self[1:]))

    def left_out_per_query(self) -> Ints | None:
        """int64 [Q], or None where nothing is left out."""
        if self.left_out is None:
            return None
        return np.bincount(self.left_out.queries, minlength=self.num_queries)

    def relevant_among(self, pairs: Pairs) -> npt.NDArray[np.bool_]:
        """Whether the item of each pair is relevant to its query."""
        if self.relevance is not None:
            return self.relevance.contains(pairs.queries, pairs.items)
        first, second = (
            labels[torch.from_numpy(positions).to(labels.device)].to(self.retrieval.queries.device)
            for labels, positions in (
                (self.retrieval.query_labels, pairs.queries),
                (self.retrieval.database_labels, pairs.items),
            )
        )
        shared = first == second if first.ndim == 1 else ((first & second) != 0).any(dim=1)
        return shared.cpu().numpy()

    def relevant_block(self, block: slice) -> npt.NDArray[np.bool_]:
        """bool [block, N]: what is relevant to each query of a block and not left out."""
        rows = block.stop - block.start
        if self.relevance is not None:
            dense = np.zeros((rows, self.num_items), dtype=np.bool_)
            listed = self.relevance.of_queries(block)
            dense[listed.queries, listed.items] = True
            return dense
        labels = self.retrieval.database_labels.to(self.retrieval.queries.device)
        dense = share_a_label(self.retrieval.query_labels[block], labels).cpu().numpy()
        if self.left_out is not None:
            absent = self.left_out.of_queries(block)
            dense[absent.queries, absent.items] = False
        return dense


def query_blocks(num_queries: int, bytes_a_query: int) -> list[slice]:
    """Blocks of queries that take 64 MB at most, or are of one query."""
    step = max(1, _BLOCK_BYTES // bytes_a_query)
    return [slice(start, min(start + step, num_queries)) for start in range(0, num_queries, step)]


def share_a_label(first: Tensor, second: Tensor) -> Tensor:
    """bool [R, C] of packed labels: the same class id (int64 [R], [C]), or a class in common (words [R, W], [C, W])."""
    if first.ndim == 1:
        return first[:, None] == second
    shared = torch.zeros((first.shape[0], second.shape[0]), dtype=torch.bool, device=first.device)
    for word in range(first.shape[1]):
        shared |= (first[:, None, word] & second[:, word]) != 0
    return shared


def count_levels(task: Task, threads: int | None) -> tuple[Ints, Ints]:
    """Items and relevant items at each distance, int64 [Q, bits + 1] each, without those left out."""
    retrieval, levels = task.retrieval, task.retrieval.bits + 1
    if task.num_items == 0:
        return np.zeros((task.num_queries, levels), np.int64), np.zeros((task.num_queries, levels), np.int64)
    found = _ops.retrieval_counts(
        retrieval.queries, retrieval.database, retrieval.query_labels, retrieval.database_labels, threads
    )
    total, relevant = (part[:, :levels].cpu().numpy() for part in found)
    if task.relevance is not None:
        relevant = _levels_of(task, task.relevance)
    if task.left_out is not None:
        total = total - _levels_of(task, task.left_out)
        if task.relevance is None:
            relevant = relevant - _levels_of(task, task.left_out.chosen(task.relevant_among(task.left_out)))
    return total, relevant


def _levels_of(task: Task, pairs: Pairs) -> Ints:
    """How many of the pairs lie at each distance, int64 [Q, bits + 1]."""
    levels = task.retrieval.bits + 1
    cells = pairs.queries * levels + pairs.distances(task.retrieval.queries, task.retrieval.database)
    counted: Ints = np.bincount(cells, minlength=task.num_queries * levels).reshape(task.num_queries, levels)
    return counted
