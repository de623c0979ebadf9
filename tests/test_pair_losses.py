"""The pairwise losses beside the margin loss as ops; what they share with it is tested in test_ops.py."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode

from hashkernels import _ops

SCALES = {"positive_scale": 0.7, "negative_scale": 1.9}
LIKELIHOOD = {"scale": 0.5, **SCALES}
LEAST = {"positive_min_distance": 7.0, "negative_min_distance": 0.5}
CAUCHY = {"gamma": 3.0, "distance_scale": 8.0, **LEAST, **SCALES}
CONTRASTIVE = {"margin": 30.0, **SCALES}
LOSSES: dict[str, tuple[Callable[..., _ops.PairLoss], dict[str, float]]] = {
    "likelihood": (_ops.likelihood_loss, LIKELIHOOD),
    "overlap": (partial(_ops.likelihood_loss, overlap=True), LIKELIHOOD),
    "cauchy": (_ops.cauchy_loss, CAUCHY),
    "contrastive": (_ops.contrastive_loss, CONTRASTIVE),
}


def embeddings(name: str, rows: int, bits: int, generator: torch.Generator) -> Tensor:
    u = torch.randn(rows, bits, generator=generator, dtype=torch.float64)
    return torch.nn.functional.normalize(u) if name == "cauchy" else u


def pair_values(name: str, u: Tensor, v: Tensor, labels: Tensor, others: Tensor, positive: Tensor) -> Tensor:
    """The loss of each pair, from the definitions."""
    if name == "contrastive":
        distance = (u[:, None] - v).square().sum(2)
        return torch.where(positive, distance, (CONTRASTIVE["margin"] - distance).clamp(min=0)) / 2
    theta = u @ v.T
    if name in ("likelihood", "overlap"):
        logit = LIKELIHOOD["scale"] * theta
        values = torch.logaddexp(logit, torch.zeros_like(logit)) - positive.double() * logit
        if name == "likelihood" or labels.ndim == 1:
            return values
        common, either = (labels[:, None] & others).sum(2).double(), (labels[:, None] | others).sum(2)
        return torch.where(positive, common / either, 1) * values
    least = torch.where(positive, LEAST["positive_min_distance"], LEAST["negative_min_distance"])
    distance = torch.maximum(CAUCHY["distance_scale"] * (1 - theta), least)
    probability = CAUCHY["gamma"] / (CAUCHY["gamma"] + distance)
    return -torch.log(torch.where(positive, probability, 1 - probability))


def dense(
    name: str,
    u: Tensor,
    labels: Tensor,
    bank: Tensor | None,
    bank_labels: Tensor | None,
    weighted: bool,
    left_out: Tensor | None = None,
    counting: Tensor | None = None,
) -> tuple[Tensor, Tensor, list[int]]:
    """Both terms and the counts from the matrix of all pairs, differentiable by torch."""
    others = labels if bank_labels is None else bank_labels
    positive = labels[:, None] == others if labels.ndim == 1 else labels @ others.T > 0
    counted = torch.ones_like(positive)
    if bank is None:
        counted.fill_diagonal_(False)
    if left_out is not None:
        counted = left_out[:, None] != torch.arange(len(others))
    if counting is not None:
        counted = counted & counting
    values = pair_values(name, u, u if bank is None else bank, labels, others, positive)
    sums = [SCALES["positive_scale"] * values[positive & counted].sum()]
    sums.append(SCALES["negative_scale"] * values[~positive & counted].sum())
    counts = [int((positive & counted).sum()), int((~positive & counted).sum())]
    divisors = [float(count) for count in counts]
    if weighted:
        divisors = [SCALES["positive_scale"] * counts[0] + SCALES["negative_scale"] * counts[1]] * 2
    return sums[0] / (divisors[0] or 1), sums[1] / (divisors[1] or 1), counts


def random_labels(count: int, form: str, generator: torch.Generator) -> Tensor:
    if form == "ids":
        return torch.randint(0, 4, (count,), generator=generator)
    return (torch.rand((count, 70), generator=generator) < 3 / 70).long()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("form", ["ids", "two words"])
@pytest.mark.parametrize("columns", ["itself", "bank", "bank but for one", "bank but for some"])
def test_it_is_that_of_all_pairs(isa: str, name: str, weighted: bool, form: str, columns: str, threads: int) -> None:
    op, parameters = LOSSES[name]
    for rows, bits in ((1, 7), (2, 16), (50, 33), (131, 64)):
        generator = torch.Generator().manual_seed(rows)
        u = embeddings(name, rows, bits, generator).requires_grad_()
        labels = random_labels(rows, form, generator)
        bank = embeddings(name, 77, bits, generator) if columns != "itself" else None
        bank_labels = random_labels(77, form, generator) if columns != "itself" else None
        left_out = torch.randint(-2, 80, (rows,), generator=generator) if "but for" in columns else None
        counting = torch.rand(77, generator=generator) < 0.5 if columns == "bank but for some" else None
        positive, negative, pairs = dense(name, u, labels, bank, bank_labels, weighted, left_out, counting)
        (expected,) = torch.autograd.grad(positive + negative, u)
        for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 2e-5)):
            scale = max(1.0, expected.abs().max().item())
            single = u.detach().to(dtype).requires_grad_()
            loss = op(
                single,
                _ops.pack_labels(labels),
                bank=None if bank is None else bank.to(dtype),
                bank_labels=None if bank_labels is None else _ops.pack_labels(bank_labels),
                left_out=left_out,
                counted=counting,
                threads=threads,
                weighted=weighted,
                **parameters,
            )
            assert loss.total.dtype == dtype
            assert loss.num_pairs.tolist() == pairs
            torch.testing.assert_close(loss.positive, positive.detach(), rtol=tolerance, atol=tolerance)
            torch.testing.assert_close(loss.negative, negative.detach(), rtol=tolerance, atol=tolerance)
            (gradient,) = torch.autograd.grad(loss.total, single)
            torch.testing.assert_close(gradient.double(), expected, rtol=tolerance, atol=tolerance * scale)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("weighted", [False, True])
def test_no_rows_and_no_columns_are_zero(isa: str, name: str, weighted: bool) -> None:
    op, parameters = LOSSES[name]
    none, some = torch.zeros(0, 5), torch.ones(3, 5)
    no_ids, ids = torch.zeros(0, dtype=torch.int64), torch.tensor([0, 0, 1])
    for u, labels, bank in (
        (none, no_ids, {}),
        (none, no_ids, {"bank": some, "bank_labels": ids}),
        (some, ids, {"bank": none, "bank_labels": no_ids}),
        (some[:1], ids[:1], {}),
    ):
        row = u.clone().requires_grad_()
        loss = op(row, labels, weighted=weighted, **bank, **parameters)
        assert (loss.total.item(), loss.num_pairs.tolist()) == (0, [0, 0])
        assert torch.equal(torch.autograd.grad(loss.total, row)[0], torch.zeros_like(u))


def test_large_logits_keep_their_digits(isa: str) -> None:
    """Where softplus(x) - x would cancel: e^-x is left of a pair that is right by far, and x of one that is wrong."""
    u = torch.tensor([[1.0], [60.0], [-700.0]], dtype=torch.float64)
    loss = _ops.likelihood_loss(u[:1], torch.tensor([0]), scale=0.5, bank=u[1:2], bank_labels=torch.tensor([0]))
    assert loss.total.item() == pytest.approx(9.357622968839e-14, rel=1e-9)
    loss = _ops.likelihood_loss(u[:1], torch.tensor([0]), scale=0.5, bank=u[2:], bank_labels=torch.tensor([0]))
    assert loss.total.item() == pytest.approx(350.0, rel=1e-15)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("banked", [False, True])
def test_gradcheck(isa: str, name: str, banked: bool) -> None:
    op, parameters = LOSSES[name]
    generator = torch.Generator().manual_seed(0)
    u = embeddings(name, 6, 5, generator).requires_grad_()
    bank = {"bank": embeddings(name, 4, 5, generator), "bank_labels": torch.arange(4) % 2} if banked else {}
    assert torch.autograd.gradcheck(lambda x: op(x, torch.arange(6) % 2, **bank, **parameters).total, (u,))


@pytest.mark.parametrize("name", LOSSES)
def test_second_derivatives_raise(isa: str, name: str) -> None:
    op, parameters = LOSSES[name]
    u = torch.rand(6, 5, requires_grad=True)
    total = op(u, torch.arange(6) % 2, **parameters).total
    (gradient,) = torch.autograd.grad(total**2, u, create_graph=True)
    with pytest.raises(RuntimeError, match="first derivatives only"):
        gradient.sum().backward()


@pytest.mark.parametrize("name", LOSSES)
def test_it_compiles_into_one_graph_with_its_gradient(isa: str, name: str) -> None:
    op, parameters = LOSSES[name]
    labels = torch.arange(12) % 3

    def loss(u: Tensor) -> Tensor:
        return op(torch.nn.functional.normalize(u), labels, weighted=True, **parameters).total * 2

    values, gradients = [], []
    for function in (loss, torch.compile(loss, fullgraph=True, backend="aot_eager")):
        u = torch.randn(12, 9, generator=torch.Generator().manual_seed(0)).requires_grad_()
        value = function(u)
        value.backward()
        values.append(value.detach())
        gradients.append(u.grad)
    torch.testing.assert_close(values[0], values[1])
    torch.testing.assert_close(gradients[0], gradients[1])


@pytest.mark.parametrize("name", LOSSES)
def test_it_repeats_its_bits_at_any_thread_count(isa: str, name: str) -> None:
    op, parameters = LOSSES[name]
    u, labels = torch.rand(300, 48), torch.arange(300) % 10
    results = []
    for count in (1, 2, 3):
        single = u.clone().requires_grad_()
        total = op(single, labels, threads=count, **parameters).total
        total.backward()
        results.append((total.detach(), single.grad))
    for total, gradient in results[1:]:
        assert torch.equal(total, results[0][0])
        assert torch.equal(gradient, results[0][1])


def op_calls() -> dict[str, tuple[Any, tuple[Any, ...]]]:
    """The ops, with arguments that they accept."""
    ops = torch.ops.hashkernels
    ids, words = torch.arange(20) % 4, _ops.pack_labels(random_labels(20, "two words", torch.Generator()))
    u = torch.nn.functional.normalize(torch.randn(20, 12))
    calls = {}
    for name, op, rest in (
        ("likelihood", ops.likelihood_loss, (False,)),
        ("overlap", ops.likelihood_loss, (True,)),
        ("cauchy", ops.cauchy_loss, ()),
        ("contrastive", ops.contrastive_loss, ()),
    ):
        parameters = tuple(LOSSES[name][1].values())
        calls[name] = (op, (u, None, ids, None, None, None, *parameters, True, *rest, 0.1, True, 0, "auto"))
        values = (*parameters, False, *rest, 0.1, False, 0, "auto")
        calls[f"{name}_value"] = (op, (u, None, words, None, None, None, *values))
        bank = (u[:5], u, ids[:5], ids, torch.arange(5), ids > 0)
        calls[f"{name}_bank"] = (op, (*bank, *parameters, False, *rest, 0.0, True, 0, "auto"))
    return calls


@pytest.mark.parametrize("name", op_calls())
def test_opcheck(isa: str, name: str) -> None:
    op, arguments = op_calls()[name]
    torch.library.opcheck(op.default, arguments)


@pytest.mark.parametrize("name", op_calls())
def test_meta_and_fake_tensors_have_the_shapes_of_the_real_ones(name: str) -> None:
    op, arguments = op_calls()[name]
    real = op(*arguments)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fake = op(*(mode.from_tensor(a) if isinstance(a, Tensor) else a for a in arguments))
    meta = op(*(a.to("meta") if isinstance(a, Tensor) else a for a in arguments))
    for found in (fake, meta):
        assert [(f.shape, f.dtype) for f in found] == [(r.shape, r.dtype) for r in real]


@pytest.mark.parametrize("name", LOSSES)
def test_no_address_leaves_python_with_the_wrong_shape(isa: str, name: str) -> None:
    op, parameters = LOSSES[name]
    with pytest.raises(ValueError, match=r"labels must have shape \(3,\), got \(2,\)"):
        op(torch.ones(3, 4), torch.arange(2), **parameters)
    bank = {"bank": torch.ones(2, 5), "bank_labels": torch.arange(2)}
    with pytest.raises(ValueError, match="bank must have 4 columns like u, got 5"):
        op(torch.ones(3, 4), torch.arange(3), **bank, **parameters)


@pytest.mark.parametrize(("theta", "near"), [(0.99, True), (0.2, False)])
def test_the_cauchy_loss_by_hand(isa: str, theta: float, near: bool) -> None:
    """d = 8 (1 - theta): 6.4 at 0.2; 0.08 at 0.99, which counts as 0.4 or 0.5 and has no gradient."""
    bank, u = torch.ones(1, 1, dtype=torch.float64), torch.tensor([[theta]], dtype=torch.float64, requires_grad=True)
    d, apart = (0.4, 0.5) if near else (6.4, 6.4)
    for label, value, slope in (
        (0, torch.log(torch.tensor((3 + d) / 3)), -8 / (3 + d)),
        (1, torch.log(torch.tensor((3 + apart) / apart)), 8 * 3 / (apart * (3 + apart))),
    ):
        loss = _ops.cauchy_loss(
            u,
            torch.tensor([label]),
            gamma=3.0,
            distance_scale=8.0,
            positive_min_distance=0.4,
            negative_min_distance=0.5,
            bank=bank,
            bank_labels=torch.tensor([0]),
        )
        assert loss.total.item() == pytest.approx(value.item(), rel=1e-6)
        assert torch.autograd.grad(loss.total, u)[0].item() == pytest.approx(0 if near else slope, rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_items_have_no_distance(isa: str, dtype: torch.dtype) -> None:
    """Far from the origin rounding would make distances of either sign; no loss is below 0."""
    u = (100 * torch.rand(1, 33, dtype=dtype)).expand(70, -1).contiguous()
    for labels, value in ((torch.zeros(70, dtype=torch.int64), 0.0), (torch.arange(70), 15.0)):
        loss = _ops.contrastive_loss(u, labels, margin=30.0)
        assert loss.total.item() >= 0
        error = 70 * torch.finfo(dtype).eps * u[0].square().sum().item()
        assert loss.total.item() == pytest.approx(value, abs=error)


def test_overlap_by_hand(isa: str) -> None:
    """softplus(-1) of a pair that has 1 of 3 classes in common, of which the words of either side hold others alone."""
    u, bank = torch.tensor([[2.0]], dtype=torch.float64, requires_grad=True), torch.ones(1, 1, dtype=torch.float64)
    classes = torch.zeros(2, 200, dtype=torch.int64)
    classes[0, [3, 70]] = 1
    classes[1, [70, 199]] = 1
    words = _ops.pack_labels(classes)
    loss = _ops.likelihood_loss(u, words[:1], scale=0.5, overlap=True, bank=bank, bank_labels=words[1:])
    assert loss.total.item() == pytest.approx(0.31326168751822 / 3, rel=1e-12)
    assert torch.autograd.grad(loss.total, u)[0].item() == pytest.approx(-0.5 * 0.26894142136999 / 3, rel=1e-12)
    assert loss.num_pairs.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"left_out": torch.zeros(3)}, TypeError, "left_out must be int64, got float32"),
        ({"left_out": torch.zeros(5, dtype=torch.int64)}, ValueError, r"left_out must have shape \(3,\), got \(5,\)"),
        ({"counted": torch.zeros(5)}, TypeError, "counted must be bool, got float32"),
        ({"counted": torch.zeros(3, dtype=torch.bool)}, ValueError, r"counted must have shape \(5,\), got \(3,\)"),
    ],
)
def test_columns_that_do_not_count_are_checked(given: dict[str, Tensor], error: type[Exception], message: str) -> None:
    u, ids = torch.randn(3, 8), torch.arange(3)
    bank = {"bank": torch.randn(5, 8), "bank_labels": torch.arange(5)}
    with pytest.raises(error, match=message):
        _ops.likelihood_loss(u, ids, scale=1, **bank, **given)
    (name,) = given
    with pytest.raises(ValueError, match=f"{name} must be None without a bank"):
        _ops.likelihood_loss(u, ids, scale=1, **given)
