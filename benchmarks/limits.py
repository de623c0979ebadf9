"""What this machine can do at most, as far as torch's own kernels and a loop over registers show it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

import hashkernels as hk

from .logic import logic_rate

_READ_VALUES = 64 << 20  # 256 MB of float32: more than any cache
_SIDE = 1536

# What cases count: bytes read from memory, multiply-adds in float32, and operations on single bits.
READ, MULTIPLY_ADD, LOGIC = "bytes read", "multiply-adds", "logic"


def machine_limits() -> dict[str, float]:
    """Units a second on torch's current number of threads: a dot product that reads memory, a matrix product and, where
    there is a C compiler, logic in registers."""
    values = torch.ones(_READ_VALUES)
    square = torch.randn(_SIDE, _SIDE)
    product = torch.empty_like(square)
    rate = logic_rate(hk.info().isa)
    return {
        READ: values.nbytes / _seconds(lambda: torch.dot(values, values)),
        MULTIPLY_ADD: _SIDE**3 / _seconds(lambda: torch.mm(square, square, out=product)),
        **({} if rate is None else {LOGIC: torch.get_num_threads() * rate}),
    }


def _seconds(run: Callable[[], Any]) -> float:
    times = []
    for _ in range(5):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return statistics.median(times)
