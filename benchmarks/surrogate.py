"""A training step of the surrogate posterior, forward and backward, against a loop over ordinary modules.

"step" is both terms of a joint X_D update, "posterior" the posterior's own term alone; dropout is on, as in training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F

from hashkernels.surrogate import SurrogatePosterior

from .harness import OURS, Case, Trial

_BLOCK_BITS = 8
LOOP = "loop over modules"


def _modules(posterior: SurrogatePosterior) -> torch.nn.ModuleList:
    """One network a block, carrying the weights of the posterior."""
    nets = torch.nn.ModuleList()
    stack = posterior.full_blocks
    for k in range(posterior.num_blocks):
        nets.append(
            torch.nn.Sequential(
                torch.nn.Linear(_BLOCK_BITS, posterior.hidden),
                torch.nn.SiLU(),
                torch.nn.Dropout(posterior.dropout),
                torch.nn.Linear(posterior.hidden, 1 << _BLOCK_BITS),
            )
        )
        first, second = ("0", stack.weight_in, stack.bias_in), ("3", stack.weight_out, stack.bias_out)
        nets[-1].load_state_dict(
            {f"{n}.{kind}": v[k] for n, w, b in (first, second) for kind, v in (("weight", w), ("bias", b))}
        )
    return nets


def _loop_nll(nets: torch.nn.ModuleList, u: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    powers = 2 ** torch.arange(_BLOCK_BITS)
    total = u.new_zeros(())
    for net, x, t in zip(nets, u.split(_BLOCK_BITS, 1), targets.split(_BLOCK_BITS, 1), strict=True):
        total = total + F.cross_entropy(net(x), ((t > 0) * powers).sum(1))
    return total


def build(batch: int, bits: int, *, joint: bool) -> Trial:
    torch.manual_seed(0)
    posterior = SurrogatePosterior(bits, block_bits=_BLOCK_BITS)
    nets = _modules(posterior)
    u = torch.randn(batch, bits).requires_grad_()
    targets = torch.randn(batch, bits)

    def ours() -> torch.Tensor:
        if joint:
            own, target = posterior.split_nll(u, targets)
            return own + target
        return posterior.nll(u.detach())

    def loop() -> torch.Tensor:
        own = _loop_nll(nets, u.detach(), u.detach())
        if not joint:
            return own
        nets.requires_grad_(False)
        target = _loop_nll(nets, u, targets)
        nets.requires_grad_(True)
        return own + target

    def gradients(function: Callable[[], torch.Tensor], parameters: list[torch.Tensor]) -> Callable[[], Any]:
        def run() -> tuple[torch.Tensor, ...]:
            value = function()
            return value.detach(), *torch.autograd.grad(value, [*parameters, *([u] if joint else [])])

        return run

    stack = posterior.full_blocks
    run_ours = gradients(ours, [stack.weight_in, stack.bias_in, stack.weight_out, stack.bias_out])
    run_loop = gradients(loop, list(nets.parameters()))

    def check(_: Mapping[str, Any]) -> None:
        # The two draw different dropout masks, so they are compared without.
        posterior.eval()
        nets.eval()
        value, *grads = run_ours()
        expected, *loop_grads = run_loop()
        stacked = [torch.stack(loop_grads[i : 4 * posterior.num_blocks : 4]) for i in range(4)]
        wanted_all = [expected, *stacked, *loop_grads[4 * posterior.num_blocks :]]
        for found, wanted in zip([value, *grads], wanted_all, strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)
        posterior.train()
        nets.train()

    return Trial({OURS: run_ours, LOOP: run_loop}, check)


CASES = tuple(
    Case(
        "surrogate step" if joint else "surrogate posterior",
        (OURS, LOOP),
        partial(build, joint=joint),
        {"batch": 128, "bits": bits},
        {"batch": 8, "bits": 16},
        "items",
        lambda batch, **_: batch,
    )
    for bits in (16, 64)
    for joint in (False, True)
)
