"""The logistic likelihood of triplets, in blocks of pairs of a query and a relevant item."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_ELEMENTS = 1 << 20


def triplet_likelihood(
    similarities: Tensor, relevant: Tensor, irrelevant: Tensor, weights: Tensor, margin: float, with_grad: bool
) -> tuple[Tensor, Tensor]:
    """The sum over queries q of weights[q] * sum over relevant p and irrelevant n of softplus(similarities[q, n] +
    margin - similarities[q, p]), a scalar in float64, and its gradient like ``similarities``; one that is not wanted is
    empty."""
    total = torch.zeros((), dtype=torch.float64, device=similarities.device)
    grad = torch.zeros_like(similarities) if with_grad else similarities.new_empty(0)
    queries, chosen = relevant.nonzero(as_tuple=True)
    step = max(1, _ELEMENTS // max(similarities.shape[1], 1))
    for start in range(0, len(queries), step):
        q, p = queries[start : start + step], chosen[start : start + step]
        counted = irrelevant[q]  # [step, items]
        gaps = similarities[q] + (margin - similarities[q, p])[:, None]
        total += (torch.where(counted, functional.softplus(gaps), 0).sum(dim=1).double() * weights[q]).sum()
        if with_grad:
            slopes = torch.where(counted, torch.sigmoid(gaps), 0) * weights[q, None].to(gaps.dtype)
            grad.index_put_((q,), slopes, accumulate=True)
            grad.index_put_((q, p), -slopes.sum(dim=1), accumulate=True)
    return total, grad
