"""Packing signs into bits, against numpy.packbits and the usual torch sum of powers of two."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

import hashkernels as hk

from .harness import OURS, Case, Trial
from .limits import READ

_TORCH_PART = 10  # torch is so slow that it packs a part of the rows, and its time is scaled


def _torch_pack(x: torch.Tensor) -> torch.Tensor:
    powers = 2 ** torch.arange(7, -1, -1)
    bits = (x > 0).reshape(x.shape[0], -1, 8)
    return (bits * powers).sum(-1).to(torch.uint8)


def build(rows: int, bits: int, dtype: str) -> Trial:
    generator = torch.Generator().manual_seed(0)
    normal = torch.randn(rows, bits, generator=generator)
    tensor = normal > 0 if dtype == "bool" else (20 * normal).to(getattr(torch, dtype))
    expected = np.packbits(tensor.float().numpy() > 0, axis=1)
    contenders: dict[str, Callable[[], Any]] = {OURS: lambda: hk.pack_codes(tensor)}
    if "numpy" in _contenders(dtype):
        array = tensor.numpy()
        contenders["numpy"] = lambda: np.packbits(array > 0, axis=1)
    few = tensor[: rows // _TORCH_PART]
    contenders["torch"] = lambda: _torch_pack(few)

    def check(results: Mapping[str, Any]) -> None:
        for name, result in results.items():
            wanted = expected[: len(few)] if name == "torch" else expected
            np.testing.assert_array_equal(np.asarray(result), wanted, err_msg=name)

    return Trial(contenders, check, {"torch": len(few) / rows})


def _contenders(dtype: str) -> tuple[str, ...]:
    return (OURS, "torch") if dtype == "bfloat16" else (OURS, "numpy", "torch")  # NumPy has no bfloat16


def _bytes(rows: int, bits: int, dtype: str) -> float:
    return rows * bits * getattr(torch, dtype).itemsize


def _case(bits: int, dtype: str) -> Case:
    return Case(
        "pack_codes",
        _contenders(dtype),
        build,
        {"rows": 1_000_000, "bits": bits, "dtype": dtype},
        {"rows": 1000, "bits": bits, "dtype": dtype},
        "bytes",
        _bytes,
        bounds={READ: _bytes},
        target=bits == 64,
    )


CASES = (
    *(_case(bits, "float32") for bits in (16, 64, 256)),
    *(_case(64, dtype) for dtype in ("float16", "bfloat16", "int8", "bool")),
)
