"""Every loss, forward and backward, against the plain torch formula and torch.compile of it.

One case at each batch size, and one against a bank of 130,000 items of 100 classes for the losses that can keep one;
DPSH also against one of 1,000 classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch

from hashkernels import losses

from . import loss_formulas as formulas
from .harness import OURS, Case, Trial

PLAIN, COMPILED = "torch", "torch.compile"
BATCHES = (64, 128, 1024)
BANK = 130_000
_BITS = 64
_LEAST_COMPILED = 64  # smaller batches only check the code, which is not worth minutes of a C++ compiler


class Method(NamedTuple):
    """A loss and its formula."""

    name: str
    loss: Callable[..., losses.HashLoss]
    formula: formulas.Formula
    bank_classes: tuple[int, ...] = ()  # of the cases with a bank, for losses that can keep one
    compiles: bool = True  # whether the formula is a graph: no loop over the batch


METHODS = (
    Method("ECM", losses.ECMLoss, formulas.ecm),
    Method("DPSH", losses.DPSHLoss, formulas.dpsh, bank_classes=(100, 1000)),
    Method("DHN", losses.DHNLoss, formulas.dhn, bank_classes=(100,)),
    Method("HashNet", partial(losses.HashNetLoss, gamma=0), formulas.hashnet, bank_classes=(100,)),
    Method("DBDH", losses.DBDHLoss, formulas.dbdh, bank_classes=(100,)),
    Method("DSDH", partial(losses.DSDHLoss, update_every=0), formulas.dsdh, bank_classes=(100,)),
    Method("DSH", losses.DSHLoss, formulas.dsh, bank_classes=(100,)),
    Method("DCH", losses.DCHLoss, formulas.dch, bank_classes=(100,)),
    Method("DTSH", losses.DTSHLoss, formulas.dtsh, bank_classes=(100,), compiles=False),
    Method("MIHash", losses.MIHashLoss, formulas.mihash),
    Method("TALR", losses.TALRLoss, formulas.talr),
    Method("CSQ", losses.CSQLoss, formulas.csq),
    Method("DPN", losses.DPNLoss, formulas.dpn),
    Method("OrthoHash", losses.OrthoHashLoss, formulas.orthohash),
    Method("GreedyHash", losses.GreedyHashLoss, formulas.greedyhash),
)


def contenders(method: Method) -> tuple[str, ...]:
    return (OURS, PLAIN, COMPILED) if method.compiles else (OURS, PLAIN)


def build(batch: int, bank: int, classes: int, *, method: Method) -> Trial:
    """``bank`` 0: the batch with itself, or for DSDH, which has no such form, a bank of its items."""
    generator = torch.Generator().manual_seed(0)
    u = torch.randn(batch, _BITS, generator=generator).requires_grad_()
    labels = torch.randint(classes, (batch,), generator=generator)
    items = bank or (batch if method.name == "DSDH" else 0)
    torch.manual_seed(0)
    loss = method.loss(_BITS, classes, **({"num_train": items} if items else {}))
    indices = torch.randperm(items, generator=generator)[:batch] if items else torch.arange(batch)
    rows, row_labels = u.detach().clone(), labels
    if items:
        rows = torch.randn(items, _BITS, generator=generator)
        row_labels = torch.randint(classes, (items,), generator=generator)
        loss.bank.write(torch.arange(items), rows, row_labels)
        if isinstance(loss, losses.DSDHLoss):
            loss.codes.copy_(rows.sign())
    row_labels = row_labels.index_copy(0, indices, labels) if items else labels

    def inputs(x: torch.Tensor) -> formulas.Inputs:
        if not items:
            return formulas.Inputs(x, labels, x, labels, indices)
        stored = rows.to(x.dtype).index_copy(0, indices, x.detach())
        if method.name != "DTSH":
            return formulas.Inputs(x, labels, stored, row_labels, indices)
        others = torch.ones(items, dtype=torch.bool).index_fill(0, indices, False)
        torch.manual_seed(0)
        drawn, counted = loss.bank.draw(others, loss.drawn)
        drawn = drawn if counted is None else drawn[counted]
        return formulas.Inputs(x, labels, stored[drawn], row_labels[drawn], torch.full((batch,), -1))

    draws = method.name == "DTSH" and items > 0

    def ours() -> torch.Tensor:
        if draws:
            torch.manual_seed(0)  # so that the formula, which is given the same items, can be compared
        return loss(u, labels, indices=indices)

    def plain(x: torch.Tensor) -> torch.Tensor:
        return method.formula(inputs(x), loss)

    torch.compiler.reset()  # every case compiles the same function anew
    backend = "inductor" if batch >= _LEAST_COMPILED else "aot_eager"
    compiled = torch.compile(plain, backend=backend, dynamic=False)

    def gradient(function: Callable[[], torch.Tensor]) -> Callable[[], tuple[torch.Tensor, torch.Tensor]]:
        def run() -> tuple[torch.Tensor, torch.Tensor]:
            value = function()
            (grad,) = torch.autograd.grad(value, u)
            return value.detach(), grad

        return run

    def check(results: Mapping[str, Any]) -> None:
        exact = u.detach().double().requires_grad_()
        value = plain(exact)
        (grad,) = torch.autograd.grad(value, exact)
        for name, (found, found_grad) in results.items():
            torch.testing.assert_close(found.double(), value.detach(), rtol=1e-4, atol=1e-6, msg=f"{name}: {found}")
            error = (found_grad.double() - grad).norm() / grad.norm()
            assert error < 1e-3, (name, float(error))

    functions = {OURS: gradient(ours), PLAIN: gradient(lambda: plain(u)), COMPILED: gradient(lambda: compiled(u))}
    return Trial({name: functions[name] for name in contenders(method)}, check)


def cases() -> tuple[Case, ...]:
    """Every method at every size."""
    made = []
    for method in METHODS:
        sizes = [{"batch": batch, "bank": 0, "classes": 10} for batch in BATCHES]
        sizes += [{"batch": 128, "bank": BANK, "classes": classes} for classes in method.bank_classes]
        for size in sizes:
            quick = size | {"batch": 24, "bank": 300 if size["bank"] else 0, "classes": 4}
            build_one = partial(build, method=method)
            family = f"loss {method.name}"
            made.append(Case(family, contenders(method), build_one, size, quick, "items", lambda batch, **_: batch))
    return tuple(made)


CASES = cases()
