"""How losses compute: in float32 (float64 for float64 inputs), whatever autocast says, and in one order."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

_UNCHANGED = nullcontext()


def sum_dtype(dtype: torch.dtype) -> torch.dtype:
    """What a sum over a batch is kept in: float32 for the half types, since float16 ends at 65,504."""
    return torch.promote_types(dtype, torch.float32)


def adds_in_any_order(device: torch.device) -> bool:
    """Whether ``scatter_add_`` of a device uses atomic additions, so that its sums differ from call to call."""
    return device.type == "cuda"


def full_precision(tensor: Tensor) -> AbstractContextManager[Any]:
    """Autocast switched off where the tensor is, so that what runs inside keeps the dtype of its inputs."""
    kind = "cpu" if tensor.is_cpu else tensor.device.type
    if kind == "meta" or not torch.is_autocast_enabled(kind):  # meta has no autocast
        return _UNCHANGED
    return torch.autocast(kind, enabled=False)
