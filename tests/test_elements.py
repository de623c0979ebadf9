"""Losses of single values as an op, against their formulas in float64, differentiated by torch."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch._subclasses import FakeTensorMode

from hashkernels import _ops
from hashkernels._ops import ElementTerm

FORMULAS: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "hinge": lambda u, t, p: torch.where(t == 0, 0, (p - t * u).clamp(min=0)),
    "logistic": lambda u, t, p: torch.where(t == 0, 0, torch.logaddexp(-p * t * u, torch.zeros_like(u))),
    "tanh_error": lambda u, _, p: (torch.tanh(p * u / 2).abs() - 1).square(),
    "log_cosh": lambda u, *_: torch.log(torch.cosh(u.abs() - 1)),
    "absolute": lambda u, *_: (u.abs() - 1).abs(),
}
TOLERANCE = {torch.float64: 1e-12, torch.float32: 3e-6}


def problem(items: int, bits: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    u = 2 * torch.randn(items, bits, generator=generator, dtype=torch.float64)
    return u.requires_grad_(), torch.randint(-1, 2, (items, bits), generator=generator).to(torch.int8)


@given(
    shape=st.tuples(st.integers(0, 20), st.integers(1, 40)),
    names=st.lists(st.sampled_from(sorted(FORMULAS)), min_size=1, max_size=4),
    parameter=st.floats(0.1, 4),
    seed=st.integers(0, 99),
)
def test_it_is_the_weighted_sum_of_its_terms(
    isa: str, threads: int, shape: tuple[int, int], names: list[str], parameter: float, seed: int
) -> None:
    u, targets = problem(*shape, seed=seed)
    weights = [0.3 * (i + 1) for i in range(len(names))]
    wanted = [w * FORMULAS[name](u, targets.double(), parameter).sum() for name, w in zip(names, weights, strict=True)]
    total = torch.stack(wanted).sum()
    (slopes,) = torch.autograd.grad(total, u)
    terms = [ElementTerm(name, weight, parameter) for name, weight in zip(names, weights, strict=True)]
    for dtype, tolerance in TOLERANCE.items():
        x = u.detach().to(dtype).requires_grad_()
        loss = _ops.element_loss(x, *terms, targets=targets, threads=threads)
        assert loss.total.dtype == loss.terms.dtype == dtype
        scale = 1 + total.item()
        torch.testing.assert_close(loss.total.double(), total.detach(), rtol=tolerance, atol=tolerance * scale)
        torch.testing.assert_close(loss.terms.double(), torch.stack(wanted).detach(), rtol=0, atol=tolerance * scale)
        (gradient,) = torch.autograd.grad(loss.total, x)
        torch.testing.assert_close(gradient.double(), slopes, rtol=0, atol=20 * tolerance)
        assert torch.equal(_ops.element_loss(x.detach(), *terms, targets=targets).total, loss.total.detach())


def test_values_far_out_neither_overflow_nor_vanish(isa: str) -> None:
    u = torch.tensor([[300.0, -300.0, 1e-3]], requires_grad=True)
    targets = torch.tensor([[-1, -1, 1]], dtype=torch.int8)

    def values(name: str) -> list[float]:
        columns = (_ops.element_loss(u[:, [i]], ElementTerm(name, 1.0, 2.0), targets=targets[:, [i]]) for i in range(3))
        return [loss.total.item() for loss in columns]

    assert values("logistic") == pytest.approx([600, 0, math.log1p(math.exp(-2e-3))], rel=1e-6, abs=1e-30)
    assert values("tanh_error") == pytest.approx([0, 0, (1 - math.tanh(1e-3)) ** 2], rel=1e-6, abs=1e-30)
    assert values("log_cosh") == pytest.approx([299 - math.log(2), 299 - math.log(2), math.log(math.cosh(0.999))])
    assert values("hinge") == pytest.approx([302, 0, 1.999])


def test_what_is_at_zero_by_hand(isa: str) -> None:
    """The slope of |u| at 0 is 0; a hinge that is just met is still pulled, as torch's clamp has it."""
    for name, value in (("tanh_error", 1), ("log_cosh", math.log(math.cosh(1))), ("absolute", 1)):
        u = torch.zeros(1, 1, dtype=torch.float64, requires_grad=True)
        loss = _ops.element_loss(u, ElementTerm(name, 1.0, 1.0)).total
        assert loss.item() == pytest.approx(value)
        assert torch.autograd.grad(loss, u)[0].item() == 0
    u = torch.tensor([[1.0, -1.0, 5.0]], requires_grad=True)
    targets = torch.tensor([[1, 1, 0]], dtype=torch.int8)
    loss = _ops.element_loss(u, ElementTerm("hinge", 2.0, 1.0), targets=targets).total
    assert loss.item() == 4
    assert torch.autograd.grad(loss, u)[0].tolist() == [[-2.0, -2.0, 0.0]]


def test_not_a_number_comes_through(isa: str) -> None:
    targets = torch.ones(1, 9, dtype=torch.int8)
    for name in FORMULAS:
        u = torch.ones(1, 9)
        u[0, 8] = torch.nan
        assert _ops.element_loss(u, ElementTerm(name, 1.0, 1.0), targets=targets).total.isnan()


def test_gradcheck(isa: str) -> None:
    u, targets = problem(3, 5)
    terms = [ElementTerm(name, 0.5, 1.5) for name in FORMULAS]
    assert torch.autograd.gradcheck(lambda x: _ops.element_loss(x, *terms, targets=targets).total, (u,))


def test_it_repeats_its_bits_at_any_thread_count(isa: str) -> None:
    u, targets = problem(1000, 61)
    results = []
    for count in (1, 2, 3):
        x = u.detach().float().requires_grad_()
        terms = (ElementTerm("logistic", 0.1, 2.0), ElementTerm("log_cosh", 0.7))
        loss = _ops.element_loss(x, *terms, targets=targets, threads=count)
        results.append((loss.total.detach(), loss.terms, torch.autograd.grad(loss.total, x)[0]))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_rows_that_do_not_lie_side_by_side(isa: str) -> None:
    u, targets = problem(6, 8)
    term = ElementTerm("hinge", 1.0, 1.0)
    x = u.detach().T.contiguous().T.requires_grad_()
    loss, expected = (_ops.element_loss(v, term, targets=targets).total for v in (x, u))
    assert torch.equal(torch.autograd.grad(loss, x)[0], torch.autograd.grad(expected, u)[0])


def test_second_derivatives_raise(isa: str) -> None:
    u, _ = problem(3, 5)
    loss = _ops.element_loss(u, ElementTerm("log_cosh", 1.0)).total
    (gradient,) = torch.autograd.grad(loss**2, u, create_graph=True)
    with pytest.raises(RuntimeError, match="first derivatives only"):
        gradient.sum().backward()
    with pytest.raises(RuntimeError, match="first derivatives only"):  # of the loss itself, whose slope is a constant
        torch.autograd.functional.hessian(lambda x: _ops.element_loss(x, ElementTerm("log_cosh", 1.0)).total, u)
    weight = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    scaled = weight * _ops.element_loss(u, ElementTerm("log_cosh", 1.0)).total
    (gradient,) = torch.autograd.grad(scaled, u, create_graph=True)
    with pytest.raises(RuntimeError, match="first derivatives only"):
        torch.autograd.grad(gradient.sum(), weight)


def test_the_divisor_divides_and_0_counts_as_1(isa: str) -> None:
    u, targets = problem(4, 7)
    terms = ElementTerm("hinge", 3.0, 1.0), ElementTerm("absolute", 0.5)
    whole, part = (_ops.element_loss(u, *terms, targets=targets, divisor=d) for d in (0, 28))
    torch.testing.assert_close(part.terms * 28, whole.terms)
    torch.testing.assert_close(*(torch.autograd.grad(loss, u)[0] for loss in (part.total * 28, whole.total)))


def test_opcheck_and_shapes(isa: str) -> None:
    u, targets = problem(4, 7)
    op = torch.ops.hashkernels.element_loss
    for with_grad in (True, False):
        for chosen, functions in ((targets, [0, 3]), (None, [2, 4])):
            arguments = (u.detach(), chosen, functions, [1.0, 2.0], [0.5, 0.1], 3, with_grad, 0)
            torch.library.opcheck(op.default, arguments)
            real = op(*arguments)
            with FakeTensorMode(allow_non_fake_inputs=True) as mode:
                fake = op(*(mode.from_tensor(a) if isinstance(a, Tensor) else a for a in arguments))
            assert [(f.shape, f.dtype) for f in fake] == [(r.shape, r.dtype) for r in real]


def test_it_compiles_into_one_graph_with_its_gradient(isa: str) -> None:
    u, targets = problem(4, 7)
    terms = (ElementTerm("logistic", 0.1, 2.0), ElementTerm("tanh_error", 0.7, 2.0))
    compiled = torch.compile(
        lambda x: 2 * _ops.element_loss(x, *terms, targets=targets).total, fullgraph=True, backend="aot_eager"
    )
    expected = 2 * sum(t.weight * FORMULAS[t.function](u, targets.double(), 2.0).sum() for t in terms)
    loss = compiled(u)
    torch.testing.assert_close(loss, expected)
    (gradient,), (wanted,) = (torch.autograd.grad(value, u) for value in (loss, expected))
    torch.testing.assert_close(gradient, wanted)


def test_bad_arguments(isa: str) -> None:
    u, targets = problem(4, 7)
    hinge = ElementTerm("hinge", 1.0, 1.0)
    with pytest.raises(ValueError, match="targets must be given for hinge"):
        _ops.element_loss(u, hinge)
    with pytest.raises(TypeError, match=r"targets must be int8, got int64"):
        _ops.element_loss(u, hinge, targets=targets.long())
    with pytest.raises(ValueError, match=r"targets must have shape \(4, 7\) like u, got \(3, 7\)"):
        _ops.element_loss(u, hinge, targets=targets[:3])
    with pytest.raises(TypeError, match=r"u must be float32 or float64, got float16"):
        _ops.element_loss(u.half(), hinge, targets=targets)
    with pytest.raises(ValueError, match="terms must hold at least one, got none"):
        _ops.element_loss(u)
    with pytest.raises(ValueError, match=r"function must be one of hinge, logistic, .*, got 'foo'"):
        _ops.element_loss(u, ElementTerm("foo", 1.0))
    op = torch.ops.hashkernels.element_loss
    with pytest.raises(ValueError, match=r"functions must be in 0\.\.4, got 7"):
        op(u, None, [7], [1.0], [1.0], 1, False, 1)
    with pytest.raises(ValueError, match=r"functions, parameters and weights must have one length .* got \[2, 1, 2\]"):
        op(u, None, [3, 4], [1.0], [1.0, 1.0], 1, False, 1)
