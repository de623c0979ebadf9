"""The pairwise margin loss, forward and backward, against eager torch in its two usual forms and torch.compile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from hashkernels.losses import ECMLoss

from .harness import OURS, Case, Trial
from .limits import MULTIPLY_ADD


def _eager(u: torch.Tensor, labels: torch.Tensor, alpha: float, *, select: bool) -> torch.Tensor:
    bits = u.shape[1]
    theta = u @ u.T
    same = labels[:, None] == labels[None, :]
    off_diagonal = ~torch.eye(len(u), dtype=torch.bool)
    positive, negative = same & off_diagonal, ~same
    short = (theta - bits).clamp(max=0) ** 2 / bits**2
    long = (theta - alpha).clamp(min=0) ** 2 / alpha**2
    if select:
        pulled = torch.where(positive, short, 0.0).sum() / positive.sum()
        return pulled + torch.where(negative, long, 0.0).sum() / negative.sum()
    return (short * positive).sum() / positive.sum() + (long * negative).sum() / negative.sum()


def build(batch: int, bits: int, classes: int) -> Trial:
    generator = torch.Generator().manual_seed(0)
    u = torch.randn(batch, bits, generator=generator).requires_grad_()
    labels = torch.randint(classes, (batch,), generator=generator)
    loss = ECMLoss(bits, classes, quantization_weight=0.0)
    alpha = float(loss.alpha)
    compiled = torch.compile(_eager)

    def gradient(function: Callable[[], torch.Tensor]) -> Callable[[], tuple[torch.Tensor, torch.Tensor]]:
        def run() -> tuple[torch.Tensor, torch.Tensor]:
            value = function()
            (grad,) = torch.autograd.grad(value, u)
            return value.detach(), grad

        return run

    def check(results: Mapping[str, Any]) -> None:
        exact = u.detach().double().requires_grad_()
        value = _eager(exact, labels, alpha, select=True)
        (grad,) = torch.autograd.grad(value, exact)
        for name, (found, found_grad) in results.items():
            torch.testing.assert_close(found.double(), value.detach(), rtol=1e-5, atol=0.0, msg=name)
            error = (found_grad.double() - grad).norm() / grad.norm()
            assert error < 1e-5, (name, float(error))

    return Trial(
        {
            OURS: gradient(lambda: loss(u, labels)),
            "eager where": gradient(lambda: _eager(u, labels, alpha, select=True)),
            "eager mask": gradient(lambda: _eager(u, labels, alpha, select=False)),
            "torch.compile": gradient(lambda: compiled(u, labels, alpha, select=True)),
        },
        check,
    )


CASES = tuple(
    Case(
        "margin loss",
        (OURS, "eager where", "eager mask", "torch.compile"),
        build,
        {"batch": batch, "bits": 64, "classes": 10},
        {"batch": 32, "bits": 64, "classes": 10},
        "pairs",
        lambda batch, **_: batch * batch,
        # Inner products of each unordered pair once, and the gradients of both its items.
        bounds={MULTIPLY_ADD: lambda batch, bits, **_: 1.5 * batch * batch * bits},
    )
    for batch in (64, 256, 1024, 4096)
)
