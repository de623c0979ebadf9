"""What checks ask about all values of a tensor. A call of torch's takes longer than a look at few values does, so of
few values a native function answers where there is one."""

from __future__ import annotations

import math
from types import ModuleType

import torch
from torch import Tensor

_FEW = 1 << 16

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


def _can_be_read(values: Tensor) -> bool:
    """Whether there are few values, one after the other at an address, which those under a transform have not."""
    return (
        values.is_cpu
        and values.numel() <= _FEW
        and values.is_contiguous()
        and torch._C._functorch.peek_interpreter_stack() is None
    )
