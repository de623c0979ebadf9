"""What is asked of all values of a tensor, by checks, and done to all of them.

A call of torch's takes longer than a pass over few values does; over more of them it wakes torch's threads, which then
keep cores busy for some ten milliseconds that a kernel's threads could use. So a native function does it, where there
is one, unless the values are very many."""

from __future__ import annotations

import math
from types import ModuleType

import torch
from torch import Tensor

_FEW = 1 << 20

_native: ModuleType | None = None


def use_native(module: ModuleType | None) -> None:
    """Ask the native extension, or, given None, torch alone. Called by what finds and selects the extension."""
    global _native
    _native = module


def all_finite(values: Tensor) -> bool:
    """Whether no value is infinite or NaN."""
    if _native is not None and values.dtype in (torch.float32, torch.float64) and _can_be_read(values):
        return bool(_native.all_finite(values.data_ptr(), values.dtype == torch.float64, values.numel()))
    # One that is not finite leaves no finite sum, in a single pass; a sum may also overflow, so then each is looked at.
    values = values.detach()
    return math.isfinite(values.sum().item()) or bool(torch.isfinite(values).all())


def least_and_greatest(values: Tensor) -> tuple[int, int]:
    """Of integers, at least one."""
    if _native is not None and values.dtype == torch.int64 and _can_be_read(values):
        low, high = _native.least_and_greatest(values.data_ptr(), values.numel())
    else:
        low, high = (int(x) for x in torch.aminmax(values))
    return low, high


def scaled(values: Tensor, factor: Tensor) -> Tensor:
    """``values * factor`` for a factor of one element, without a graph."""
    if (
        _native is None
        or values.dtype != factor.dtype
        or values.dtype not in (torch.float32, torch.float64)
        or not (factor.is_cpu and _can_be_read(values))
    ):
        return values.detach() * factor.detach()
    result = torch.empty_like(values)
    is_double = values.dtype == torch.float64
    _native.scale(values.data_ptr(), is_double, factor.item(), values.numel(), result.data_ptr())
    return result


def _can_be_read(values: Tensor) -> bool:
    """Whether there are not too many values, one after the other at an address, which those under a transform have
    not."""
    return (
        values.is_cpu
        and values.numel() <= _FEW
        and values.is_contiguous()
        and torch._C._functorch.peek_interpreter_stack() is None
    )
