"""The pairwise margin loss."""

from __future__ import annotations

import torch
from torch import Tensor

from hashkernels.reference.retrieval import relevant

_ROWS = 512


def margin_loss(
    u: Tensor,
    bank: Tensor | None,
    labels: Tensor,
    bank_labels: Tensor | None,
    positive_margin: float,
    negative_margin: float,
    positive_scale: float,
    negative_scale: float,
    with_grad: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Terms float64 [2] (positive, negative), pair counts int64 [2], and the gradient of their sum like ``u``.

    Positive pairs add positive_scale * min(0, u_i . v_j - positive_margin)^2 / P, negative ones
    negative_scale * max(0, u_i . v_j - negative_margin)^2 / N, with P and N the numbers of ordered pairs. Without a
    bank v is u, the pairs i = j are left out, and the gradient runs through both sides. A gradient that is not wanted
    is empty.
    """
    columns = u if bank is None else bank
    column_labels = labels if bank_labels is None else bank_labels
    sums = torch.zeros(2, dtype=torch.float64, device=u.device)
    counts = torch.zeros(2, dtype=torch.int64, device=u.device)
    positive_grad = torch.zeros_like(u, memory_format=torch.contiguous_format) if with_grad else u.new_empty(0)
    negative_grad = torch.zeros_like(positive_grad)
    sides = 2.0 if bank is None else 1.0
    with torch.autocast(u.device.type, enabled=False):
        for start in range(0, u.shape[0], _ROWS):
            rows = slice(start, start + _ROWS)
            theta = u[rows] @ columns.T  # [rows, columns]
            positive = relevant(labels[rows], column_labels)
            negative = ~positive
            if bank is None:
                positive.diagonal(start).fill_(False)
                negative.diagonal(start).fill_(False)
            short = torch.where(positive, (theta - positive_margin).clamp(max=0), 0)
            excess = torch.where(negative, (theta - negative_margin).clamp(min=0), 0)
            sums += torch.stack((short.double().square().sum(), excess.double().square().sum()))
            counts += torch.stack((positive.sum(), negative.sum()))
            if with_grad:
                positive_grad[rows] = short @ columns * (2 * sides)
                negative_grad[rows] = excess @ columns * (2 * sides)
    pairs = counts.clamp(min=1).double()  # an empty set adds nothing
    positive_weight, negative_weight = positive_scale / pairs[0], negative_scale / pairs[1]
    grad = positive_grad * positive_weight.to(u.dtype) + negative_grad * negative_weight.to(u.dtype)
    return sums * torch.stack((positive_weight, negative_weight)), counts, grad
