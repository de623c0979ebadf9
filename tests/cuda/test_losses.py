"""Every loss on a GPU against the same loss in float64 on the CPU: values, gradients, and what it keeps.

float64 agrees to 1e-9. float32 agrees to 1e-4 of the value and 1e-3 of the largest gradient: kernels that multiply on
tensor cores keep 16 of its 24 bits.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from hashkernels import losses
from hashkernels.centers import random_centers
from hashkernels.surrogate import SurrogateLoss
from hashkernels.surrogate.loss import Update

BITS, NUM_CLASSES, NUM_TRAIN, NUM_ITEMS = 48, 5, 300, 90
ALL = sorted(set(losses.__all__) - {"DistributedLoss", "HashLoss", "DSDHLoss"})
BANKS = ["DBDHLoss", "DCHLoss", "DHNLoss", "DPSHLoss", "DSDHLoss", "DSHLoss", "DTSHLoss", "HashNetLoss"]
REFERENCES = [*(name for name in BANKS if name != "DSDHLoss"), "ECMLoss", "MIHashLoss", "TALRLoss"]
CASES: dict[str, tuple[str, dict[str, Any]]] = {name: (name, {}) for name in ALL}
CASES |= {f"{name}/bank": (name, {"num_train": NUM_TRAIN}) for name in BANKS}
CASES |= {
    "DCHLoss/authors": ("DCHLoss", losses.DCHLoss.preset("authors", BITS)),
    "DCHLoss/floors": ("DCHLoss", {"max_cosine": 0.9, "min_distance": 10.0}),
    "DPNLoss/update": ("DPNLoss", {"update_every": NUM_ITEMS}),
    "DPSHLoss/self_pairs": ("DPSHLoss", {"self_pairs": True}),
    "DPSHLoss/zeros": ("DPSHLoss", {"num_train": NUM_TRAIN, "skip_unfilled": False}),
    "DTSHLoss/bank": ("DTSHLoss", {"num_train": NUM_TRAIN, "drawn": NUM_TRAIN}),  # all: each device has its own draw
    "ECMLoss/classwise": ("ECMLoss", {"classwise": True}),
    "ECMLoss/images": ("ECMLoss", {"classwise": True, "positives": "images", "center_update": "majority"}),
    "HashNetLoss/positive": ("HashNetLoss", {"weighting": "positive", "positive_weight": 3.0}),
    "TALRLoss/ndcg": ("TALRLoss", {"criterion": "ndcg"}),
}
FORMS = ["ids", "multi-hot"]


class Step(NamedTuple):
    """What one call of a loss gave, in float64 on the CPU."""

    value: Tensor
    grads: list[Tensor]
    terms: dict[str, Tensor]


def make(case: str) -> losses.HashLoss:
    torch.manual_seed(0)
    if case.startswith("SurrogateLoss"):
        centers = random_centers(NUM_CLASSES, BITS)
        base = None if case.endswith("alone") else losses.DPSHLoss(BITS, NUM_CLASSES, num_train=NUM_TRAIN)
        # Each device draws its own dropout; blocks of 9 bits leave a last one of 3.
        update: Update = "alternating" if case.endswith("alternating") else "joint"
        return SurrogateLoss(base, centers, block_bits=9, hidden=40, dropout=0.0, update=update)
    name, options = CASES[case]
    loss: losses.HashLoss = getattr(losses, name)(BITS, NUM_CLASSES, **options)
    return loss


def items(count: int, form: str, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    u = 0.8 * torch.randn(count, BITS, generator=generator)
    if form == "ids":
        return u, torch.randint(NUM_CLASSES, (count,), generator=generator)
    return u, torch.rand(count, NUM_CLASSES, generator=generator) < 0.3


def run(case: str, form: str, where: torch.device, dtype: torch.dtype, *, references: bool = False) -> list[Step]:
    """Two steps, the second of which finds a bank half written and meets some items again."""
    loss, steps = make(case).to(where, dtype), []
    for seed in (0, 1):
        u, labels = items(NUM_ITEMS, form, seed)
        inputs = [u.to(where, dtype).requires_grad_()]
        indices = (torch.randperm(NUM_TRAIN, generator=torch.Generator().manual_seed(seed))[:NUM_ITEMS]).to(where)
        others = {}
        if references:
            ref, ref_labels = items(130, form, seed + 7)
            inputs.append(ref.to(where, dtype).requires_grad_())
            others = {"ref_emb": inputs[1], "ref_labels": ref_labels.to(where)}
        value = loss(inputs[0], labels.to(where), indices=indices, **others)
        assert value.device == where
        assert value.dtype == dtype
        assert all(term.device == where for term in loss.last_terms.values())
        grads = torch.autograd.grad(value, [*inputs, *loss.parameters()], allow_unused=True)
        terms = {name: term.cpu().double() for name, term in loss.last_terms.items()}
        steps.append(Step(value.detach().cpu().double(), [g.cpu().double() for g in grads if g is not None], terms))
    assert all(tensor.device == where for tensor in loss.state_dict().values())
    return steps


def compare(found: list[Step], expected: list[Step], dtype: torch.dtype) -> None:
    value_error, grad_error = {torch.float64: (1e-9, 1e-9), torch.float32: (1e-4, 1e-3)}[dtype]
    for step, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(step.value, wanted.value, rtol=value_error, atol=0)
        scale = float(wanted.value.abs())
        torch.testing.assert_close(step.terms, wanted.terms, rtol=value_error, atol=value_error * scale)
        for grad, wanted_grad in zip(step.grads, wanted.grads, strict=True):
            largest = float(wanted_grad.abs().max())
            torch.testing.assert_close(grad, wanted_grad, rtol=0, atol=grad_error * largest)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", [*CASES, "SurrogateLoss", "SurrogateLoss/alone"])
def test_a_loss_that_was_moved_there(device: torch.device, case: str, form: str, dtype: torch.dtype) -> None:
    compare(run(case, form, device, dtype), run(case, form, torch.device("cpu"), torch.float64), dtype)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", [*CASES, "SurrogateLoss", "SurrogateLoss/alternating"])
def test_two_runs_give_the_same_bits(device: torch.device, case: str, form: str) -> None:
    first, second = (run(case, form, device, torch.float32) for _ in range(2))
    for step, again in zip(first, second, strict=True):
        assert torch.equal(step.value, again.value)
        assert all(torch.equal(grad, other) for grad, other in zip(step.grads, again.grads, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", REFERENCES)
def test_references(device: torch.device, case: str, form: str, dtype: torch.dtype) -> None:
    expected = run(case, form, torch.device("cpu"), torch.float64, references=True)
    compare(run(case, form, device, dtype, references=True), expected, dtype)


@pytest.mark.parametrize("case", CASES)
def test_half_types_and_autocast(device: torch.device, case: str) -> None:
    u, labels = items(NUM_ITEMS, "ids", 0)
    indices = torch.arange(NUM_ITEMS, device=device)
    half = u.to(device, torch.bfloat16).requires_grad_()
    expected = make(case).to(device)(half.detach().float(), labels.to(device), indices=indices)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        value = make(case).to(device)(half, labels.to(device), indices=indices)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, expected, rtol=1e-5, atol=0)
    (grad,) = torch.autograd.grad(value, half)
    assert grad.dtype == torch.bfloat16
    assert bool(torch.isfinite(grad).all())


@pytest.mark.parametrize("form", FORMS)
def test_discrete_codes(device: torch.device, form: str) -> None:
    codes = []
    for where in (torch.device("cpu"), device):
        loss = losses.DSDHLoss(BITS, NUM_CLASSES, num_train=NUM_ITEMS, update_every=0, mu=1.0, sweeps=3)
        loss = loss.to(where, torch.float64)
        u, labels = items(NUM_ITEMS, form, 0)
        loss(u.to(where, torch.float64), labels.to(where), indices=torch.arange(NUM_ITEMS, device=where))
        loss.update_codes()
        codes.append(loss.codes.cpu())
    assert torch.equal(*codes)


def test_the_fused_ops_serve_pairwise_losses(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("torch went over the pairs")

    monkeypatch.setattr("hashkernels.losses._pairwise.PairwiseLoss._pair_sums", refuse)
    for name in ("DPSHLoss", "DHNLoss", "DBDHLoss", "HashNetLoss", "DCHLoss", "DSHLoss"):
        for form in FORMS:
            run(name, form, device, torch.float32)
    for name in ("DPSHLoss/bank", "DSHLoss/bank", "HashNetLoss/bank"):
        run(name, "ids", device, torch.float32)


@pytest.mark.parametrize(
    ("case", "form"), sorted({(case, form) for case in CASES for form in FORMS} - {("DTSHLoss/bank", "multi-hot")})
)
def test_a_training_step_waits_for_nothing(
    device: torch.device, no_waiting: AbstractContextManager[None], case: str, form: str
) -> None:
    """All but the one that draws items of several classes from a bank, of which it cannot know how many there are."""
    loss = make(case).to(device)
    u, labels = (x.to(device) for x in items(NUM_ITEMS, form, 0))
    indices = torch.arange(NUM_ITEMS, device=device)
    u.requires_grad_()
    loss(u, labels, indices=indices).backward()
    with no_waiting:
        loss(u, labels, indices=indices + 7).backward()


def test_a_step_with_a_bank_is_replayed_from_a_graph(device: torch.device) -> None:
    """The graph's steps write into the bank as steps without one do."""
    u, labels = (x.to(device) for x in items(NUM_ITEMS, "ids", 0))
    u.requires_grad_()
    starts = [torch.arange(NUM_ITEMS, device=device) + first for first in (0, 50, 120)]
    plain, captured = (losses.DPSHLoss(BITS, NUM_CLASSES, num_train=NUM_TRAIN).to(device) for _ in range(2))
    indices = starts[0].clone()
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):  # what is made once, before the capture
        torch.autograd.grad(captured(u, labels, indices=indices), u)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        value = captured(u, labels, indices=indices)
        (grad,) = torch.autograd.grad(value, u)
    for positions in starts:
        indices.copy_(positions)
        graph.replay()
        expected = plain(u, labels, indices=positions)
        (expected_grad,) = torch.autograd.grad(expected, u)
        assert torch.equal(value, expected)
        assert torch.equal(grad, expected_grad)
