"""Packing signs into bits, against numpy.packbits and the usual torch sum of powers of two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

import hashkernels as hk

from .harness import OURS, Case, Trial


def _torch_pack(x: torch.Tensor) -> torch.Tensor:
    powers = 2 ** torch.arange(7, -1, -1)
    bits = (x > 0).reshape(x.shape[0], -1, 8)
    return (bits * powers).sum(-1).to(torch.uint8)


def build(rows: int, bits: int) -> Trial:
    x = np.random.default_rng(0).standard_normal((rows, bits), dtype=np.float32)
    tensor = torch.from_numpy(x)

    def check(results: Mapping[str, Any]) -> None:
        for name, result in results.items():
            np.testing.assert_array_equal(np.asarray(result), np.packbits(x > 0, axis=1), err_msg=name)

    return Trial(
        {
            OURS: lambda: hk.pack_codes(x),
            "numpy": lambda: np.packbits(x > 0, axis=1),
            "torch": lambda: _torch_pack(tensor),
        },
        check,
    )


def _bytes(rows: int, bits: int) -> float:
    return rows * bits * 4 + rows * bits / 8


CASES = tuple(
    Case(
        "pack_codes",
        (OURS, "numpy", "torch"),
        build,
        {"rows": 1_000_000, "bits": bits},
        {"rows": 1000, "bits": bits},
        "bytes",
        _bytes,
    )
    for bits in (16, 64, 256)
)
