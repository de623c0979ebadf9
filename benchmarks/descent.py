"""The code update of DSDH, one sweep over the bits of a training set, against the same step vectorised by torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from hashkernels import _ops

from .harness import OURS, Case, Trial

_CLASSES = 10


def _torch_sweep(codes: torch.Tensor, pull: torch.Tensor, gram: torch.Tensor) -> torch.Tensor:
    b = codes.to(pull.dtype)
    for bit in range(b.shape[1]):
        wish = pull[:, bit] - b @ gram[:, bit] + b[:, bit] * gram[bit, bit]
        b[:, bit] = torch.where(wish == 0, b[:, bit], wish.sign())
    return b.to(torch.int8)


def build(items: int, bits: int) -> Trial:
    """The objective is that of items of ten classes, whose codes begin as the signs of their embeddings."""
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(items, bits, generator=generator)
    codes = (2 * (embeddings > 0).to(torch.int8) - 1).contiguous()
    classifier = torch.randn(bits, _CLASSES, generator=generator) / 4
    classes = torch.randint(_CLASSES, (items,), generator=generator)
    pull, gram = classifier.T[classes] + embeddings, classifier @ classifier.T

    def check(results: Mapping[str, Any]) -> None:
        # Different roundings may decide a bit otherwise where it is nearly a tie, and the item's later bits with it.
        differing = (results[OURS] != results["torch"]).any(dim=1).double().mean()
        assert differing < 0.001, float(differing)

    functions = {
        OURS: lambda: _ops.discrete_descent(codes, pull, gram, 1),
        "torch": lambda: _torch_sweep(codes, pull, gram),
    }
    return Trial(functions, check)


CASES = tuple(
    Case(
        "DSDH code update",
        (OURS, "torch"),
        build,
        {"items": 50_000, "bits": bits},
        {"items": 300, "bits": bits},
        "codes",
        lambda items, **_: items,
    )
    for bits in (16, 32, 64, 128)
)
