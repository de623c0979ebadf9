"""Gradients that come with the value of a loss, and so have no derivative of their own, nor one in forward mode."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from hashkernels import _values
from hashkernels._ops._library import nobody_watches


def first_order(grad: Tensor, *sources: Tensor) -> Tensor:
    """What a backward pass gives: ``grad``, found from ``sources`` without autograd.

    Where a graph of it is asked for (``create_graph=True``), going back through it raises ``RuntimeError``; a gradient
    that is a constant would let second derivatives be zero without a word.
    """
    if not torch.is_grad_enabled() or torch.compiler.is_compiling():
        return grad
    result: Tensor = _FirstOrder.apply(grad.detach(), *sources)  # type: ignore[no-untyped-call]
    return result


def scaled(grad: Tensor, factor: Tensor) -> Tensor:
    """``grad * factor``, for ``first_order``: ``factor`` has one element."""
    if nobody_watches() and type(grad) is type(factor) is Tensor and not _is_batched(factor):
        return _values.scaled(grad, factor)
    return grad * factor


def _is_batched(tensor: Tensor) -> bool:
    """Whether it stands for several (``is_grads_batched=True``), which nothing else tells."""
    return torch._C._functorch.is_legacy_batchedtensor(tensor)


def reverse_mode_only(*inputs: Tensor) -> None:
    """Raise ``RuntimeError`` where an input has a tangent (``torch.func.jvp``, ``jacfwd``), which an op would drop."""
    if any(forward_ad.unpack_dual(tensor).tangent is not None for tensor in inputs):  # type: ignore[no-untyped-call]
        raise RuntimeError(
            "losses of hashkernels have derivatives in reverse mode only, and forward mode was asked for"
        )


class _FirstOrder(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, grad: Tensor, *sources: Tensor) -> Tensor:
        return grad.view_as(grad)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, ...]:
        raise RuntimeError("losses of hashkernels have first derivatives only, and a second one was asked for")
