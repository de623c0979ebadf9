"""The sign rule and the ways to pull embeddings towards it."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def code_sign(u: Tensor) -> Tensor:
    """+1 where ``u > 0`` and -1 elsewhere (so sgn(0) = -1), without gradient, of the dtype of ``u``."""
    return (u > 0).to(u.dtype) * 2 - 1


def squared_sign_error(u: Tensor) -> Tensor:
    """``(sgn(u) - u)^2`` elementwise; the sign counts as a constant, and a bit and its opposite are pulled alike."""
    return (code_sign(u) - u).square()


def log_cosh(x: Tensor) -> Tensor:
    """``log cosh x`` elementwise, without overflow."""
    size = x.abs()
    return size + torch.nn.functional.softplus(-2 * size) - math.log(2)


def mean(values: Tensor) -> Tensor:
    """Mean of all elements; 0, still on the graph, when there are none."""
    return values.sum() / max(values.numel(), 1)
