"""How many items, and how many relevant ones, lie at each distance from each query: all that tie-aware metrics need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hashkernels._ranks import Ranks
from hashkernels.metrics._inputs import check_retrieval
from hashkernels.metrics._task import Task, count_levels, query_blocks

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


@dataclass(frozen=True, eq=False)
class RetrievalCounts:
    """Items and relevant items at each Hamming distance, one row a query.

    Counts add up: those of two parts of a database give, added, those of the whole, and so exactly the same metrics.

    Attributes:
        total: int64 [Q, bits + 1], items at distance 0..bits from each query.
        relevant: int64 [Q, bits + 1], how many of them are relevant to the query.
        left_out: int64 [Q], items that were left out of each query's ranking and are not counted; None is none.

    Raises:
        TypeError: an array that is not int64.
        ValueError: shapes that differ, no query, a negative count, more relevant items than items, or rows of ``total``
            that do not add up, with what was left out, to one number of database items.

    Example:
        >>> import numpy as np
        >>> from hashkernels.metrics import RetrievalCounts, evaluate_counts
        >>> left = RetrievalCounts(np.array([[1, 0, 2]]), np.array([[1, 0, 0]]))
        >>> right = RetrievalCounts(np.array([[0, 1, 0]]), np.array([[0, 1, 0]]))
        >>> evaluate_counts(left + right).map
        1.0
    """

    total: npt.NDArray[np.int64]
    relevant: npt.NDArray[np.int64]
    left_out: npt.NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        for name, counts in (("total", self.total), ("relevant", self.relevant)):
            if not isinstance(counts, np.ndarray) or counts.dtype != np.int64:
                raise TypeError(f"{name} must be an int64 array, got {getattr(counts, 'dtype', type(counts).__name__)}")
        if self.total.ndim != 2 or self.total.shape[0] < 1 or self.total.shape[1] < 2:
            raise ValueError(f"total must have shape [Q, bits + 1] with Q >= 1 and bits >= 1, got {self.total.shape}")
        if self.relevant.shape != self.total.shape:
            raise ValueError(f"relevant must have shape {self.total.shape} like total, got {self.relevant.shape}")
        if self.relevant.min() < 0 or (self.relevant > self.total).any():
            raise ValueError("relevant must be in 0..total everywhere")
        items = self.total.sum(axis=1)
        if self.left_out is not None:
            if not isinstance(self.left_out, np.ndarray) or self.left_out.dtype != np.int64:
                kind = getattr(self.left_out, "dtype", type(self.left_out).__name__)
                raise TypeError(f"left_out must be an int64 array, got {kind}")
            if self.left_out.shape != items.shape:
                raise ValueError(f"left_out must have shape {items.shape}, one a row, got {self.left_out.shape}")
            if self.left_out.min() < 0:
                raise ValueError(f"left_out must be at least 0, got {self.left_out.min()}")
            items = items + self.left_out
        if items.min() != items.max():
            raise ValueError(f"total must add up to one number of items in every row, got {items.min()}..{items.max()}")

    @property
    def num_queries(self) -> int:
        """Q."""
        return int(self.total.shape[0])

    @property
    def num_database(self) -> int:
        """N, the number of items, with those left out of a ranking."""
        return int(self.total[0].sum()) + (0 if self.left_out is None else int(self.left_out[0]))

    @property
    def num_ranked(self) -> int:
        """Length of the longest ranking: N less what is left out of it."""
        return self.num_database - (0 if self.left_out is None else int(self.left_out.min()))

    @property
    def bits(self) -> int:
        """The code length, and so the greatest distance."""
        return int(self.total.shape[1]) - 1

    def __add__(self, other: RetrievalCounts) -> RetrievalCounts:
        """The counts over both databases, for the same queries and code length."""
        if not isinstance(other, RetrievalCounts):
            return NotImplemented
        if other.total.shape != self.total.shape:
            raise ValueError(f"counts to add must have shape {self.total.shape}, got {other.total.shape}")
        left_out = self.left_out if other.left_out is None else other.left_out
        if self.left_out is not None and other.left_out is not None:
            left_out = self.left_out + other.left_out
        return RetrievalCounts(self.total + other.total, self.relevant + other.relevant, left_out)

    def all_reduce(self, group: ProcessGroup | None = None) -> RetrievalCounts:
        """The sum over all ranks of ``torch.distributed``, each having counted its own part of the database.

        Args:
            group: process group; None is the default one. With NCCL the sums are taken on the current GPU.

        Returns:
            The same counts on every rank, so that every rank finds the same metrics to the last bit.
        """
        return self.across(Ranks(True if group is None else group))

    def across(self, ranks: Ranks) -> RetrievalCounts:
        """The sum over all ranks of an evaluation."""
        total, relevant = np.empty_like(self.total), np.empty_like(self.relevant)
        # Four arrays of the size of both on the way to their sums.
        for block in query_blocks(self.num_queries, 8 * self.total[0].nbytes):
            total[block], relevant[block] = ranks.sum(np.stack((self.total[block], self.relevant[block])))
        left_out = ranks.sum(np.zeros(self.num_queries, dtype=np.int64) if self.left_out is None else self.left_out)
        return RetrievalCounts(total, relevant, left_out if left_out.any() else None)


def retrieval_counts(
    query_codes: Any,
    database_codes: Any,
    query_labels: Any,
    database_labels: Any,
    *,
    bits: int | None = None,
    threads: int | None = None,
) -> RetrievalCounts:
    """Count items and relevant items at each Hamming distance from each query.

    Arguments and errors as in ``hashkernels.evaluate``. No matrix of distances is built: memory is O(Q * bits).

    Returns:
        RetrievalCounts; those of several parts of a database may be added before ``evaluate_counts``.

    Example:
        >>> import numpy as np
        >>> from hashkernels.metrics import retrieval_counts
        >>> codes = np.array([[0b00000000], [0b00000111], [0b11111111]], dtype=np.uint8)
        >>> counts = retrieval_counts(codes[:1], codes, np.array([5]), np.array([5, 5, 9]))
        >>> counts.total[0].tolist()
        [1, 0, 0, 1, 0, 0, 0, 0, 1]
        >>> counts.relevant[0].tolist()
        [1, 0, 0, 1, 0, 0, 0, 0, 0]
    """
    retrieval = check_retrieval(query_codes, database_codes, query_labels, database_labels, bits=bits)
    return count(Task(retrieval), threads)


def count(task: Task, threads: int | None) -> RetrievalCounts:
    """The counts of one part of a database."""
    total, relevant = count_levels(task, threads)
    return RetrievalCounts(total, relevant, task.left_out_per_query())
