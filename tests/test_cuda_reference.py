"""What torch computes of CUDA tensors, seen without a GPU: nothing of it makes the host wait, so it fits into a CUDA
graph as the kernels do, and nothing lies elsewhere."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from hashkernels import _loader, _validation

WORDS = torch.arange(11)[:, None] % 5
KINDS = (torch.arange(11) % 3).float()
X, UNITS, WEIGHT = torch.randn(3, 11, 8), torch.randn(3, 11, 5), torch.randn(3, 5, 8)
PATTERNS = torch.arange(66).view(3, 2, 11) % 11
U = torch.randn(11, 8, dtype=torch.float64)
CASES: dict[str, tuple[Any, ...]] = {
    "pack_labels": (torch.ones(11, 70),),
    "element_loss": (X[0], X[0].sign().to(torch.int8), [0, 1, 2, 3, 4], [0.7] * 5, [0.3] * 5, 11, True, 0),
    "hidden_units": (X, WEIGHT, UNITS[:, 0], torch.arange(33).view(3, 11, 1), 2.0, 0),
    "pattern_errors": (UNITS.mT @ UNITS, PATTERNS[..., :5] % 5, KINDS[:5], 0),
    "hidden_gradients": (UNITS, UNITS, X, WEIGHT, UNITS, PATTERNS, True, True, 0),
    "discrete_descent": (X[0].sign().to(torch.int8), X[0], X[0].T @ X[0], 2, 0),
    "margin_loss": (U, None, WORDS, None, None, None, 3.0, -1.0, 0.7, 1.9, 0.3, True, 0, "auto"),
    "likelihood_loss": (U, U, WORDS, WORDS, WORDS[:, 0], KINDS > 0, 0.5, 1.0, 0.7, True, True, 0.0, True, 0, "auto"),
    "cauchy_loss": (U, None, WORDS, None, None, None, 5.0, 0.4, 0.2, 0.3, 1.0, 0.7, False, 0.0, True, 0, "auto"),
    "contrastive_loss": (U, None, WORDS, None, None, None, 20.0, 1.0, 0.7, False, 0.0, True, 0, "auto"),
}


@pytest.mark.parametrize("device", ["cpu", "meta"])  # the second meets no other, and has no values
@pytest.mark.parametrize("name", CASES)
def test_nothing_is_waited_for(monkeypatch: pytest.MonkeyPatch, waits: Any, name: str, device: str) -> None:
    monkeypatch.setattr(_validation, "value_checks_enabled", lambda tensor: False)  # as on a GPU
    monkeypatch.setattr(_loader, "cuda_kernel", lambda name: None)
    if device == "meta":
        monkeypatch.setattr(torch, "autocast", lambda kind, enabled: nullcontext())  # of which it has none
    op = getattr(torch.ops.hashkernels, name).default
    arguments = [part.to(device) if isinstance(part, Tensor) else part for part in CASES[name]]
    with waits:
        results = op.redispatch(torch._C.DispatchKeySet(torch._C.DispatchKey.CUDA), *arguments)
    assert waits.found == []
    assert {result.device.type for result in tree_leaves(results)} == {device}
