"""Exact Hamming neighbours for the evaluator of pytorch-metric-learning."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hashkernels import _ops
from hashkernels._validation import check_int, check_packable, check_same_device, check_threads
from hashkernels.metrics._inputs import packed_signs


class HammingNeighbours:
    """The ``knn_func`` of pytorch-metric-learning's ``AccuracyCalculator``, over the signs of embeddings.

    That evaluator ranks by float distances, and equal ones come in no set order. This ranks packed signs by (distance,
    index), exactly, whatever the machine: ``AccuracyCalculator(knn_func=HammingNeighbours())``. pytorch-metric-learning
    is not imported. Its ``mean_average_precision`` divides by all relevant items even where k cuts the ranking, as
    ``hashkernels.evaluate`` does with denominator="relevant", and leaves out queries with nothing relevant.

    Args:
        threads: CPU threads; default ``torch.get_num_threads()``.

    Example:
        >>> import torch
        >>> from hashkernels.metrics import HammingNeighbours
        >>> u = torch.tensor([[1.0, -1.0], [1.0, 1.0], [-1.0, -1.0]])
        >>> distances, indices = HammingNeighbours()(u, 2, u, ref_includes_query=True)
        >>> distances.tolist(), indices.tolist()
        ([[1.0, 1.0], [1.0, 2.0], [1.0, 2.0]], [[1, 2], [0, 2], [0, 1]])
    """

    def __init__(self, *, threads: int | None = None) -> None:
        self.threads = check_threads(threads)

    def __call__(self, query: Any, k: int, reference: Any, ref_includes_query: bool = False) -> tuple[Tensor, Tensor]:
        """The k nearest of ``reference`` to each query.

        Args:
            query, reference: embeddings [Q, bits] and [N, bits], packed by sign (bit = x > 0).
            k: in 1..N; with ``ref_includes_query`` in 1..N - 1.
            ref_includes_query: query i is item i of ``reference``, and is not its own neighbour.

        Returns:
            distances float32 [Q, k], which is what the evaluator passes on, and indices int64 [Q, k].

        Raises:
            ValueError, TypeError: shapes or dtypes that do not fit, or k out of range.
        """
        check_packable("query", query)
        if check_packable("reference", reference).shape[1] != query.shape[1]:
            raise ValueError(f"reference must have {query.shape[1]} columns like query, got {reference.shape[1]}")
        check_same_device("query", query, "reference", reference)
        if ref_includes_query and query.shape[0] > reference.shape[0]:
            raise ValueError(
                f"reference must include each query (ref_includes_query), got {reference.shape[0]} items for "
                f"{query.shape[0]} queries"
            )
        own = 1 if ref_includes_query else 0
        k = check_int("k", k, 1, int(reference.shape[0]) - own)
        distances, indices = _ops.topk(
            packed_signs("query", query), packed_signs("reference", reference), k + own, None, self.threads
        )
        if ref_includes_query:
            # Equal codes may come before a query itself, even all k + 1 of them: then the last is dropped instead.
            other = indices != torch.arange(len(query), device=indices.device)[:, None]
            other[other.all(dim=1), -1] = False
            distances, indices = distances[other].view(-1, k), indices[other].view(-1, k)
        return distances.to(torch.float32), indices
