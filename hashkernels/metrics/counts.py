"""How many items, and how many relevant ones, lie at each distance from each query: all that tie-aware metrics need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from hashkernels import _ops
from hashkernels.metrics._inputs import Retrieval, check_retrieval

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


@dataclass(frozen=True, eq=False)
class RetrievalCounts:
    """Items and relevant items at each Hamming distance, one row a query.

    Counts add up: those of two parts of a database give, added, those of the whole, and so exactly the same metrics.

    Attributes:
        total: int64 [Q, bits + 1], items at distance 0..bits from each query.
        relevant: int64 [Q, bits + 1], how many of them are relevant to the query.

    Raises:
        TypeError: an array that is not int64.
        ValueError: shapes that differ, no query, a negative count, more relevant items than items, or rows of ``total``
            that do not add up to one number of database items.

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
        if items.min() != items.max():
            raise ValueError(f"total must add up to one number of items in every row, got {items.min()}..{items.max()}")

    @property
    def num_queries(self) -> int:
        """Q."""
        return int(self.total.shape[0])

    @property
    def num_database(self) -> int:
        """N, the number of items counted."""
        return int(self.total[0].sum())

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
        return RetrievalCounts(self.total + other.total, self.relevant + other.relevant)

    def all_reduce(
        self, group: ProcessGroup | None = None, *, device: torch.device | str | None = None
    ) -> RetrievalCounts:
        """The sum over all ranks of ``torch.distributed``, each having counted its own part of the database.

        Args:
            group: process group; None is the default one.
            device: where the group's backend wants its tensors ("cuda" for NCCL); None is the CPU.

        Returns:
            The same counts on every rank, so that every rank finds the same metrics to the last bit.
        """
        both = torch.from_numpy(np.stack([self.total, self.relevant])).to(device or "cpu")
        torch.distributed.all_reduce(both, group=group)
        total, relevant = both.cpu().numpy()
        return RetrievalCounts(total, relevant)


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
    return count(retrieval, threads)


def count(retrieval: Retrieval, threads: int | None) -> RetrievalCounts:
    """``retrieval_counts`` of arguments that have been checked."""
    total, relevant = _ops.retrieval_counts(
        retrieval.queries, retrieval.database, retrieval.query_labels, retrieval.database_labels, threads
    )
    levels = retrieval.bits + 1
    return RetrievalCounts(total[:, :levels].cpu().numpy(), relevant[:, :levels].cpu().numpy())
