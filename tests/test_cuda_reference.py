"""What torch computes of CUDA tensors, seen without a GPU: nothing of it makes the host wait, so it fits into a CUDA
graph as the kernels do."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

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


class Waits(TorchDispatchMode):
    """Names the operations that a host waits for on a GPU: values, sizes that depend on them, numbers of Python's that
    have to come there (``lift_fresh``)."""

    OPS = ("_local_scalar_dense", "nonzero", "masked_select", "bincount", "equal", "_unique2", "lift_fresh")

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.name().removeprefix("aten::").partition(".")[0]
        masks = args[1] if name.startswith("index") and len(args) > 1 else ()
        if name in self.OPS or any(isinstance(mask, Tensor) and mask.dtype == torch.bool for mask in masks):
            self.names.append(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_waited_for(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(_validation, "value_checks_enabled", lambda tensor: False)  # as on a GPU
    monkeypatch.setattr(_loader, "cuda_kernel", lambda name: None)
    op = getattr(torch.ops.hashkernels, name).default
    with Waits() as mode:
        op.redispatch(torch._C.DispatchKeySet(torch._C.DispatchKey.CUDA), *CASES[name])
    assert mode.names == []
