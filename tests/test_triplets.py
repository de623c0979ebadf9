"""The likelihood of triplets as an op, against all triplets written out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode

from hashkernels import _ops
from hashkernels.reference import triplets as reference_triplets


def problem(queries: int, items: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    similarities = 4 * torch.randn(queries, items, generator=generator, dtype=torch.float64)
    kind = torch.randint(3, (queries, items), generator=generator)
    weights = torch.rand(queries, generator=generator, dtype=torch.float64)
    return similarities.requires_grad_(), kind == 1, kind == 2, weights


def dense(similarities: Tensor, relevant: Tensor, irrelevant: Tensor, weights: Tensor, margin: float) -> Tensor:
    """From the array of all triplets."""
    gaps = similarities[:, None, :] + margin - similarities[:, :, None]  # [Q, p, n]
    values = torch.logaddexp(gaps, torch.zeros_like(gaps))
    return (values * (relevant[:, :, None] & irrelevant[:, None, :])).sum((1, 2)) @ weights


@pytest.mark.parametrize("elements", [1, 1 << 20])
def test_it_is_the_sum_over_all_triplets(
    isa: str, threads: int, elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference_triplets, "_ELEMENTS", elements)
    for queries, items in ((0, 3), (3, 0), (1, 1), (2, 9), (5, 40), (17, 66)):
        similarities, *rest = problem(queries, items)
        expected = dense(similarities, *rest, 2.0)
        (slopes,) = torch.autograd.grad(expected, similarities)
        for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 2e-6)):
            x = similarities.detach().to(dtype).requires_grad_()
            loss = _ops.triplet_likelihood(x, *rest, margin=2.0, threads=threads)
            assert loss.dtype == dtype
            torch.testing.assert_close(loss.double(), expected.detach(), rtol=tolerance, atol=tolerance)
            (gradient,) = torch.autograd.grad(loss, x)
            torch.testing.assert_close(gradient.double(), slopes, rtol=tolerance, atol=20 * tolerance)
            assert torch.equal(_ops.triplet_likelihood(x.detach(), *rest, margin=2.0), loss.detach())


def test_similarities_far_apart_keep_their_digits(isa: str) -> None:
    """softplus(-300) of a triplet that is right by far is no more than a rounding; of one that is wrong it is 300."""
    relevant = torch.tensor([[True, False], [False, True]])
    similarities = torch.tensor([[300.0, 0.0], [300.0, 0.0]], requires_grad=True)
    loss = _ops.triplet_likelihood(similarities, relevant, ~relevant, torch.ones(2, dtype=torch.float64), margin=0.0)
    assert loss.item() == pytest.approx(300)
    (gradient,) = torch.autograd.grad(loss, similarities)
    torch.testing.assert_close(gradient, torch.tensor([[0.0, 0.0], [1.0, -1.0]]))


def test_gradcheck(isa: str) -> None:
    similarities, *rest = problem(4, 7)
    assert torch.autograd.gradcheck(lambda x: _ops.triplet_likelihood(x, *rest, margin=1.0), (similarities,))


def test_it_repeats_its_bits_at_any_thread_count(isa: str) -> None:
    similarities, *rest = problem(200, 150)
    results = []
    for count in (1, 2, 3):
        loss = _ops.triplet_likelihood(similarities, *rest, margin=1.0, threads=count)
        results.append((loss.detach(), torch.autograd.grad(loss, similarities)[0]))
    for loss, gradient in results[1:]:
        assert torch.equal(loss, results[0][0])
        assert torch.equal(gradient, results[0][1])


def test_second_derivatives_raise(isa: str) -> None:
    similarities, *rest = problem(4, 7)
    loss = _ops.triplet_likelihood(similarities, *rest, margin=1.0)
    (gradient,) = torch.autograd.grad(loss**2, similarities, create_graph=True)
    with pytest.raises(RuntimeError, match="first derivatives only"):
        gradient.sum().backward()


def test_opcheck_and_shapes(isa: str) -> None:
    similarities, *rest = problem(4, 7)
    op = torch.ops.hashkernels.triplet_likelihood
    for with_grad in (True, False):
        arguments = (similarities.detach(), *rest, 1.0, with_grad, 0)
        torch.library.opcheck(op.default, arguments)
        real = op(*arguments)
        with FakeTensorMode(allow_non_fake_inputs=True) as mode:
            fake = op(*(mode.from_tensor(a) if isinstance(a, Tensor) else a for a in arguments))
        assert [(f.shape, f.dtype) for f in fake] == [(r.shape, r.dtype) for r in real]


def test_it_compiles_into_one_graph_with_its_gradient(isa: str) -> None:
    similarities, *rest = problem(4, 7)
    function = torch.compile(
        lambda x: _ops.triplet_likelihood(x, *rest, margin=1.0) * 2, fullgraph=True, backend="aot_eager"
    )
    expected = 2 * dense(similarities, *rest, 1.0)
    loss = function(similarities)
    torch.testing.assert_close(loss, expected)
    (gradient,), (wanted,) = (torch.autograd.grad(value, similarities) for value in (loss, expected))
    torch.testing.assert_close(gradient, wanted)


def test_bad_arguments(isa: str) -> None:
    similarities, relevant, irrelevant, weights = problem(4, 7)
    with pytest.raises(ValueError, match=r"relevant must have shape \(4, 7\), got \(3, 7\)"):
        _ops.triplet_likelihood(similarities, relevant[:3], irrelevant, weights, margin=1.0)
    with pytest.raises(TypeError, match=r"irrelevant must be bool, got int64"):
        _ops.triplet_likelihood(similarities, relevant, irrelevant.long(), weights, margin=1.0)
    with pytest.raises(ValueError, match=r"weights must have shape \(4,\), got \(5,\)"):
        _ops.triplet_likelihood(similarities, relevant, irrelevant, torch.ones(5, dtype=torch.float64), margin=1.0)
