"""The sign rule and the ways to pull embeddings towards it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from hashkernels import _ops

LEAST_LENGTH = 1e-12


def code_sign(u: Tensor) -> Tensor:
    """+1 where ``u > 0`` and -1 elsewhere (so sgn(0) = -1), without gradient, of the dtype of ``u``."""
    return (u > 0).to(u.dtype).mul_(2).sub_(1)


def code_error(u: Tensor, code: Tensor, reduction: str = "mean") -> Tensor:
    """Mean or sum of ``(code - u)^2`` over all elements, where codes are constants; 0 when there are none."""
    return functional.mse_loss(u, code, reduction=reduction if u.numel() else "sum")


def sign_error(u: Tensor, reduction: str = "mean") -> Tensor:
    """Mean or sum of ``(sgn(u) - u)^2``; the sign counts as a constant, and a bit and its opposite are pulled alike."""
    return code_error(u, code_sign(u), reduction)


def directions(u: Tensor) -> Tensor:
    """Rows divided by their lengths. One shorter than `LEAST_LENGTH` has no direction: it gives zeros, without
    gradient, where ``torch.nn.functional.normalize`` would divide the gradient by that length."""
    length = torch.linalg.vector_norm(u, dim=1, keepdim=True)
    unit: Tensor = u / length.masked_fill(length < LEAST_LENGTH, torch.inf)
    return unit


def mean(values: Tensor) -> Tensor:
    """Mean of all elements; 0, still on the graph, when there are none."""
    return values.mean() if values.numel() else values.sum()


class _StraightThroughSign(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, u: Tensor, estimator: str) -> Tensor:
        ctx.estimator = estimator
        ctx.save_for_backward(u)
        return code_sign(u)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (u,) = ctx.saved_tensors
        return through_sign(grad, u, ctx.estimator), None


ESTIMATORS = ("identity", "clip", "tanh")


def through_sign(grad: Tensor, u: Tensor, estimator: str) -> Tensor:
    """What of the gradient at ``sgn(u)`` an estimator gives to ``u``, see `straight_through_sign`."""
    if estimator == "clip":
        return grad * (u.abs() <= 1)
    if estimator == "tanh":
        return grad * (1 - torch.tanh(u).square())
    return grad


def straight_through_sign(u: Tensor, estimator: str) -> Tensor:
    """``sgn(u)`` with a gradient in place of zero: that of ``u`` ("identity"), of ``clamp(u, -1, 1)`` ("clip") or of
    ``tanh(u)`` ("tanh")."""
    _ops.reverse_mode_only(u)
    code: Tensor = _StraightThroughSign.apply(u, estimator)  # type: ignore[no-untyped-call]
    return code
