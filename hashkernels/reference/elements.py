"""Losses of single values, and their slopes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

ELEMENT_FUNCTIONS = ("hinge", "logistic", "tanh_error", "log_cosh", "absolute")
NUM_WITH_TARGETS = 2  # the first of them


def element(function: str, u: Tensor, target: Tensor | float, parameter: float) -> tuple[Tensor, Tensor]:
    """Loss and slope of each value by itself, like ``u``; ``target`` is -1 or +1, or 0 for none.

    At ``u = 0`` the derivative of ``|u|`` is 0. The functions: ``hinge``, max(0, parameter - target u); ``logistic``,
    log(1 + exp(-parameter target u)); ``tanh_error``, (|tanh(parameter u / 2)| - 1)^2; ``log_cosh``, log cosh(|u| - 1);
    ``absolute``, ||u| - 1|.
    """
    if function == "hinge":
        slack = parameter - target * u
        return slack.clamp(min=0) * target**2, torch.where(slack >= 0, -target, 0).to(u.dtype)
    if function == "logistic":
        z = -parameter * target * u
        return -functional.logsigmoid(-z) * target**2, -parameter * target * torch.sigmoid(z)
    if function == "tanh_error":
        code = torch.tanh(parameter / 2 * u)
        error = code.abs() - 1
        return error.square(), parameter * error * (1 - code.square()) * code.sign()
    x = u.abs() - 1
    size = x.abs()
    if function == "log_cosh":
        return size + functional.softplus(-2 * size) - math.log(2), torch.tanh(x) * u.sign()
    return size, x.sign() * u.sign()


def element_loss(
    u: Tensor,
    targets: Tensor | None,
    functions: Sequence[int],
    parameters: Sequence[float],
    weights: Sequence[float],
    with_grad: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """The weighted sums of some functions over all values, numbered as in ``ELEMENT_FUNCTIONS``: their total
    and each of them, of the dtype of ``u``, and the gradient of the total; one that is not wanted is empty."""
    target = 0.0 if targets is None else targets.to(u.dtype)
    grad = torch.zeros_like(u, memory_format=torch.contiguous_format)
    sums = []
    for number, parameter, weight in zip(functions, parameters, weights, strict=True):
        value, slope = element(ELEMENT_FUNCTIONS[number], u, target, parameter)
        sums.append(weight * value.sum(dtype=torch.float64))
        grad.add_(slope, alpha=weight)
    terms = torch.stack(sums)
    return terms.sum().to(u.dtype), terms.to(u.dtype), grad if with_grad else u.new_empty(0)
