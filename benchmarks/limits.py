"""What this machine can do at most, as far as torch's own kernels show it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

_READ_VALUES = 64 << 20  # 256 MB of float32: more than any cache
_SIDE = 1536

# What cases count: bytes read from memory, and multiply-adds in float32.
READ, MULTIPLY_ADD = "bytes read", "multiply-adds"


def machine_limits() -> dict[str, float]:
    """Units a second on torch's current number of threads: a dot product that reads memory, and a matrix product."""
    values = torch.ones(_READ_VALUES)
    square = torch.randn(_SIDE, _SIDE)
    product = torch.empty_like(square)
    return {
        READ: values.nbytes / _seconds(lambda: torch.dot(values, values)),
        MULTIPLY_ADD: _SIDE**3 / _seconds(lambda: torch.mm(square, square, out=product)),
    }


def _seconds(run: Callable[[], Any]) -> float:
    times = []
    for _ in range(5):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return statistics.median(times)
