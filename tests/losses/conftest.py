from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

BITS = 12
NUM_CLASSES = 5


class Example(NamedTuple):
    u: Tensor  # float64 [N, 12], requires grad
    labels: Tensor
    relevant: Tensor  # bool [N, N]
    shared: Tensor  # float64 [N, N]: classes in common


def make_example(kind: str, num_items: int, seed: int) -> Example:
    generator = torch.Generator().manual_seed(seed)
    u = (0.8 * torch.randn(num_items, BITS, generator=generator, dtype=torch.float64)).requires_grad_()
    if kind == "single":
        labels = torch.randint(0, NUM_CLASSES - 1, (num_items,), generator=generator)  # the last class stays empty
        hot = torch.nn.functional.one_hot(labels, NUM_CLASSES)
    else:
        hot = (torch.rand(num_items, NUM_CLASSES, generator=generator) < 0.3).long()
        hot[torch.arange(num_items), torch.arange(num_items) % (NUM_CLASSES - 1)] = 1
        hot[:, -1] = 0
        labels = hot
    shared = (hot @ hot.T).double()
    return Example(u, labels, shared > 0, shared)


@pytest.fixture(params=["single", "multi"])
def example(request: pytest.FixtureRequest) -> Example:
    return make_example(request.param, 9, seed=0)


@pytest.fixture(params=["single", "multi"])
def reference_example(request: pytest.FixtureRequest) -> tuple[Example, Tensor, Tensor, Tensor]:
    """A batch, and items to compare it with: their embeddings, labels, and relevance [N, R]."""
    both = make_example(request.param, 16, seed=1)
    u = both.u.detach()[:9].clone().requires_grad_()
    ref = both.u.detach()[9:].clone().requires_grad_()
    batch = Example(u, both.labels[:9], both.relevant[:9, :9], both.shared[:9, :9])
    return batch, ref, both.labels[9:], both.relevant[:9, 9:]


@pytest.fixture
def assert_same() -> Callable[..., None]:
    """Value and gradients of two scalars agree to 1e-10."""

    def check(actual: Tensor, expected: Tensor, *inputs: Tensor) -> None:
        assert actual.dtype == torch.float64
        torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-10)
        gradients = (torch.autograd.grad(value, inputs, retain_graph=True) for value in (actual, expected))
        for got, wanted in zip(*gradients, strict=True):
            torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-10)

    return check


@pytest.fixture
def one_row_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every row of pairs filled a block of its own."""
    monkeypatch.setattr("hashkernels.losses._blocks.BLOCK_ELEMENTS", 1)
