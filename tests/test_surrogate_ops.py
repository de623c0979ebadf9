"""The ops of a surrogate's training step against networks written out in float64, differentiated by torch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch._subclasses import FakeTensorMode

from hashkernels import _ops

TOLERANCE = {torch.float64: 1e-12, torch.float32: 5e-6}


class Problem(NamedTuple):
    x: Tensor
    weight: Tensor
    bias: Tensor
    weight_out: Tensor
    bias_out: Tensor
    kept: Tensor
    patterns: Tensor

    def keep(self) -> Tensor:
        """``kept`` as a mask, by NumPy."""
        octets = self.kept.numpy().astype("<i8").view(np.uint8)
        bits = np.unpackbits(octets, axis=-1, bitorder="little")[..., : self.weight.shape[1]]
        return torch.from_numpy(bits.astype(bool))

    def to(self, dtype: torch.dtype) -> Problem:
        return Problem(*(t.to(dtype) if t.is_floating_point() else t for t in self))


def problem(blocks: int, items: int, hidden: int, size: int, seed: int = 0) -> Problem:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    patterns = torch.randint(1 << size, (blocks, 2, items), generator=generator)
    kept = torch.randint(-(1 << 63), (1 << 63) - 1, (blocks, items, (hidden + 63) // 64), generator=generator)
    return Problem(
        normal(items, blocks * size).view(items, blocks, size).transpose(0, 1),  # strided, as blocks of a code are
        normal(blocks, hidden, size),
        normal(blocks, hidden),
        normal(blocks, 1 << size, hidden) / hidden**0.5,
        normal(blocks, 1 << size),
        kept,
        patterns,
    )


def step(p: Problem, *, dropout: bool, weights: Tensor | None = None) -> list[Tensor]:
    """Both values, then the gradients by x of the second and by all parameters of the first, from ordinary modules'
    functions."""
    x, *parameters = (t.clone().requires_grad_() for t in p[:5])
    before = torch.einsum("bns,bhs->bnh", x, parameters[0]) + parameters[1][:, None]
    units = F.silu(before) * (2.5 * p.keep() if dropout else 2.5)
    logits = torch.einsum("bnh,bph->bnp", units, parameters[2]) + parameters[3][:, None]
    own, target = (
        F.cross_entropy(logits.flatten(0, 1), p.patterns[:, i].flatten(), reduction="none").view(logits.shape[:2])
        for i in (0, 1)
    )
    values = own.sum(), (target if weights is None else target * weights).sum()
    gradients = torch.autograd.grad(values[0], parameters, retain_graph=True)
    return [values[0], values[1], *torch.autograd.grad(values[1], x), *gradients]


def step_by_ops(
    p: Problem, *, dropout: bool, weights: Tensor | None = None, threads: int | None = None
) -> list[Tensor]:
    units, slope = _ops.hidden_units(p.x, p.weight, p.bias, p.kept if dropout else None, 2.5, threads=threads)
    logits = torch.baddbmm(p.bias_out[:, None], units, p.weight_out.mT)
    errors, nll = _ops.pattern_errors(logits, p.patterns, weights, threads=threads)
    layer = (torch.bmm(errors, p.weight_out), slope, p.x, p.weight, p.weight_out, p.patterns)
    both = _ops.hidden_gradients(*layer, with_inputs=True, with_parameters=True, threads=threads)
    for inputs, parameters in ((True, False), (False, True), (False, False)):
        some = _ops.hidden_gradients(*layer, with_inputs=inputs, with_parameters=parameters, threads=threads)
        for grad, whole, wanted in zip(some, both, (inputs, parameters, parameters), strict=True):
            assert torch.equal(grad, whole) if wanted else grad.numel() == 0
    grad_x, grad_weight, grad_bias = both
    grad_x = grad_x if weights is None else grad_x * weights[:, None]
    return [*nll, grad_x, grad_weight, grad_bias, torch.bmm(errors.mT, units), errors.sum(1)]


@given(
    shape=st.tuples(st.integers(0, 4), st.integers(0, 70), st.integers(1, 70), st.integers(1, 6)),
    dropout=st.booleans(),
    seed=st.integers(0, 99),
)
def test_a_step_equals_that_of_ordinary_functions(
    isa: str, threads: int, shape: tuple[int, int, int, int], dropout: bool, seed: int
) -> None:
    p = problem(*shape, seed=seed)
    weights = torch.arange(shape[1], dtype=torch.float64) % 3 if seed % 2 else None
    expected = step(p, dropout=dropout, weights=weights)
    for dtype, tolerance in TOLERANCE.items():
        some = None if weights is None else weights.to(dtype)
        for found, wanted in zip(
            step_by_ops(p.to(dtype), dropout=dropout, weights=some, threads=threads), expected, strict=True
        ):
            scale = max(1.0, wanted.abs().max().item()) if wanted.numel() else 1.0
            torch.testing.assert_close(found.double(), wanted.detach(), rtol=0, atol=20 * tolerance * scale)


@pytest.mark.parametrize("size", [7, 8, 9, 12])
def test_every_size_of_a_block(isa: str, size: int) -> None:
    p = problem(2, 5, 24, size)
    for found, wanted in zip(step_by_ops(p, dropout=True), step(p, dropout=True), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)


def test_large_logits_and_activations_keep_their_digits(isa: str) -> None:
    """-log P is the distance of the logits, however far apart they are; silu of -200 is 0, of 200 it is 200."""
    logits = torch.tensor([[[500.0, -500.0, 0.0]]], dtype=torch.float64)
    errors, nll = _ops.pattern_errors(logits, torch.tensor([[[1], [0]]]), None)
    torch.testing.assert_close(nll, torch.tensor([1000.0, 0.0], dtype=torch.float64))
    torch.testing.assert_close(errors, torch.tensor([[[1.0, -1.0, 0.0]]], dtype=torch.float64))
    x = torch.tensor([[[200.0], [-200.0], [0.0]]])
    units, slope = _ops.hidden_units(x, torch.ones(1, 1, 1), torch.zeros(1, 1), None, 1.0)
    torch.testing.assert_close(units, torch.tensor([[[200.0], [0.0], [0.0]]]), atol=1e-30, rtol=0)
    torch.testing.assert_close(slope, torch.tensor([[[1.0], [0.0], [0.5]]]), atol=1e-30, rtol=0)


def test_not_a_number_comes_through(isa: str) -> None:
    p = problem(2, 9, 20, 3)
    p.x[1, 4, 0] = torch.nan
    units, slope = _ops.hidden_units(p.x, p.weight, p.bias, None, 1.0)
    assert units[1, 4].isnan().all()
    assert slope[1, 4].isnan().all()
    assert units.isnan().sum() == 20
    logits = torch.randn(1, 2, 11)
    logits[0, 1, 10] = torch.nan
    errors, nll = _ops.pattern_errors(logits, torch.zeros(1, 2, 2, dtype=torch.int64), None)
    assert errors.isnan().any(2).tolist() == [[False, True]]
    assert nll.isnan().all()


def test_it_repeats_its_bits_at_any_thread_count(isa: str) -> None:
    p = problem(3, 333, 70, 5).to(torch.float32)
    first, *others = (step_by_ops(p, dropout=True, threads=count) for count in (1, 2, 3))
    for other in others:
        # The large products are torch's own, at its thread count.
        assert all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_opcheck_and_shapes(isa: str) -> None:
    p = problem(2, 5, 70, 3)
    errors = torch.randn(2, 5, 70, dtype=torch.float64)
    weights = torch.ones(5, dtype=torch.float64)
    logits = torch.randn(2, 5, 8, dtype=torch.float64)
    ops = torch.ops.hashkernels
    calls = [
        (ops.hidden_units, (p.x, p.weight, p.bias, p.kept, 2.0, 0)),
        (ops.hidden_units, (p.x, p.weight, p.bias, None, 1.0, 0)),
        (ops.pattern_errors, (logits, p.patterns, weights, 0)),
        (ops.pattern_errors, (logits, p.patterns, None, 0)),
    ]
    for wanted in ((True, True), (True, False), (False, True)):
        arguments = (errors, errors, p.x, p.weight, p.weight_out, p.patterns, *wanted, 0)
        calls.append((ops.hidden_gradients, arguments))
    for op, arguments in calls:
        torch.library.opcheck(op.default, arguments)
        real = op(*arguments)
        with FakeTensorMode(allow_non_fake_inputs=True) as mode:
            fake = op(*(mode.from_tensor(a) if isinstance(a, Tensor) else a for a in arguments))
        assert [(f.shape, f.dtype, f.stride()) for f in fake] == [(r.shape, r.dtype, r.stride()) for r in real]


def test_half_precision_is_torchs(isa: str) -> None:
    p = problem(2, 5, 70, 3).to(torch.bfloat16)
    units, slope = _ops.hidden_units(p.x, p.weight, p.bias, p.kept, 2.0)
    assert units.dtype == slope.dtype == torch.bfloat16
    expected = 2 * F.silu(torch.einsum("bns,bhs->bnh", p.x.double(), p.weight.double()) + p.bias.double()[:, None])
    torch.testing.assert_close(units.double(), expected * p.keep(), rtol=0.05, atol=0.1)


def test_bad_arguments(isa: str) -> None:
    p = problem(2, 5, 70, 3)
    with pytest.raises(ValueError, match=r"weight must have shape \(2, 70, 3\), got \(2, 70, 4\)"):
        _ops.hidden_units(p.x, torch.ones(2, 70, 4, dtype=torch.float64), p.bias, None, 1.0)
    with pytest.raises(TypeError, match=r"weight must be float64, got float32"):
        _ops.hidden_units(p.x, p.weight.float(), p.bias, None, 1.0)
    with pytest.raises(ValueError, match=r"kept must have shape \(2, 5, 2\), got \(2, 5, 1\)"):
        _ops.hidden_units(p.x, p.weight, p.bias, p.kept[..., :1], 1.0)
    with pytest.raises(TypeError, match=r"x must be floating point, got int64"):
        _ops.hidden_units(p.kept, p.weight, p.bias, None, 1.0)
    logits = torch.randn(2, 5, 8)
    with pytest.raises(TypeError, match=r"patterns must be int64, got int32"):
        _ops.pattern_errors(logits, p.patterns.int(), None)
    with pytest.raises(ValueError, match=r"weights must have shape \(5,\), got \(4,\)"):
        _ops.pattern_errors(logits, p.patterns, torch.ones(4))
    with pytest.raises(ValueError, match=r"logits must have at least one pattern"):
        _ops.pattern_errors(torch.randn(2, 5, 0), p.patterns, None)
    units = torch.ones(2, 5, 70, dtype=torch.float64)
    layer = (units, units[..., 1:], p.x, p.weight, p.weight_out, p.patterns)
    for wrong in (-1, 8):
        patterns = p.patterns.clone()
        patterns[1, 0, 2] = wrong
        with pytest.raises(ValueError, match=rf"patterns must be in 0\.\.7, got {wrong}"):
            _ops.pattern_errors(logits, patterns, None)
        with pytest.raises(ValueError, match=rf"patterns must be in 0\.\.7, got {wrong}"):
            _ops.hidden_gradients(
                units, units, p.x, p.weight, p.weight_out, patterns, with_inputs=True, with_parameters=True
            )
    with pytest.raises(ValueError, match=r"weight must have 3 dimensions, got shape \(2, 70\)"):
        _ops.hidden_units(p.x, p.weight[..., 0], p.bias, None, 1.0)
    for shape in ((2, 0, 3), (2, 70, 0)):
        with pytest.raises(ValueError, match="weight must have at least one unit and one input"):
            _ops.hidden_units(
                p.x[..., : shape[2]], p.weight[:, : shape[1], : shape[2]], p.bias[:, : shape[1]], None, 1.0
            )
    with pytest.raises(ValueError, match=r"slope must have shape \(2, 5, 70\), got \(2, 5, 69\)"):
        _ops.hidden_gradients(*layer, with_inputs=True, with_parameters=True)
