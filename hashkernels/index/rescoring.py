"""A short list by Hamming distance, put in order by what the codes were made from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, NamedTuple

import torch
from torch import Tensor

from hashkernels import _ops
from hashkernels._arrays import ArrayT, to_tensor
from hashkernels._validation import check_embeddings, check_int, check_tensor, dtype_name
from hashkernels._values import all_finite

_LAST = torch.iinfo(torch.int64).max


class RescoredResult(NamedTuple, Generic[ArrayT]):
    """The best of a short list, by (score, position), the highest score first."""

    scores: ArrayT  # float32 [Q, k], -inf behind the last
    indices: ArrayT  # int64 or uint64 [Q, k], -1 there


class Rescoring:
    """How a short list is scored; arguments checked.

    Args:
        queries: floating point [Q, D], one for each packed query.
        oversample: how many times k candidates are scored; None: four times.
        vectors: float32 or int8 [rows, D], the row of a code being its id; None scores the codes as -1/+1, D = bits.
        bits, little: of the codes.
        num_queries: Q.
    """

    def __init__(
        self, queries: Any, oversample: int | None, vectors: Any, bits: int, little: bool, num_queries: int
    ) -> None:
        self._oversample = 4 if oversample is None else check_int("oversample", oversample, 1)
        self._little = little
        self._vectors: Tensor | None = None
        width: int | None = bits
        if vectors is not None:
            self._vectors = check_tensor("vectors", to_tensor("vectors", vectors), 2)
            if self._vectors.dtype not in (torch.float32, torch.int8):
                raise TypeError(f"vectors must be float32 or int8, got {dtype_name(self._vectors.dtype)}")
            if self._vectors.device.type != "cpu":
                raise ValueError(f"vectors must be on cpu like the index, got {self._vectors.device}")
            width = self._vectors.shape[1]
        self._queries = check_embeddings("rescore", to_tensor("rescore", queries), width).detach().cpu().float()
        if len(self._queries) != num_queries:
            raise ValueError(f"rescore must have one row for each of {num_queries} queries, got {len(self._queries)}")
        if not bool(torch.isfinite(self._queries).all()):
            raise ValueError("rescore must be finite in float32")

    def num_candidates(self, k: int, count: int) -> int:
        """How many candidates k results are chosen from."""
        return min(k * self._oversample, count)

    def best(
        self, positions: Tensor, ids: Tensor, gather: Callable[[Tensor], Tensor], k: int, threads: int | None
    ) -> tuple[Tensor, Tensor]:
        """Scores and ids [Q, k] of the best of candidates.

        Args:
            positions: int64 [Q, C], -1 for none.
            ids: of the candidates [Q, C].
            gather: gives the codes, uint8 [n, W], at positions int64 [n].
            k, threads: as in a search.
        """
        if self._vectors is None:
            codes = gather(positions.clamp(min=0).reshape(-1))
            codes = codes.reshape(*positions.shape, codes.shape[1])
            scores = _ops.score_codes(self._queries, codes, self._little, threads)
            scores = torch.where(positions < 0, -torch.inf, scores)
        else:
            row = ids.view(torch.int64)
            outside = (positions >= 0) & ((row < 0) | (row >= len(self._vectors)))
            if bool(outside.any()):
                raise ValueError(
                    f"vectors must have a row for every id, got {len(self._vectors)} rows and id {ids[outside][0]}"
                )
            scores = _ops.score_vectors(self._queries, self._vectors, torch.where(positions < 0, -1, row), threads)
        self._check_scores(scores, positions, ids)
        # By position first, so that the stable sort by score leaves equal scores in that order.
        order = torch.argsort(torch.where(positions < 0, _LAST, positions), dim=1)
        scores, best = torch.sort(scores.gather(1, order), dim=1, descending=True, stable=True)
        return scores[:, :k].contiguous(), ids.view(torch.int64).gather(1, order.gather(1, best[:, :k])).view(ids.dtype)

    def _check_scores(self, scores: Tensor, positions: Tensor, ids: Tensor) -> None:
        """What is not finite in a row that is scored leaves no finite score, so no other rows are looked at."""
        wrong = (positions >= 0) & ~torch.isfinite(scores)
        if not bool(wrong.any()):
            return
        score, named = scores[wrong][0].item(), int(ids[wrong][0])
        if self._vectors is not None:
            row = self._vectors[named]
            if not all_finite(row):
                raise ValueError(f"vectors must be finite, got {row[~torch.isfinite(row)][0].item()} in row {named}")
        raise ValueError(f"rescore must give scores that are finite in float32, got {score} for id {named}")
