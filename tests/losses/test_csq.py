from __future__ import annotations

import numpy as np
import pytest
import torch

from hashkernels.centers import hadamard_centers
from hashkernels.losses import CSQLoss


def targets_by_hand(loss, labels):
    if labels.ndim == 1:
        return loss.centers.double()[labels]
    rows = []
    for row in labels:
        total = loss.centers.double()[row == 1].sum(0)
        rows.append(torch.where(total > 0, 1.0, torch.where(total < 0, -1.0, loss.tie_break.double())))
    return torch.stack(rows).double()


def test_equals_binary_cross_entropy_of_tanh(example):
    loss = CSQLoss(12, 5, quantization_weight=0.05)
    target = targets_by_hand(loss, example.labels)
    code = torch.tanh(example.u)
    expected = torch.nn.functional.binary_cross_entropy((code + 1) / 2, (target + 1) / 2)
    expected = expected + 0.05 * ((code.abs() - 1) ** 2).mean()
    actual = loss(example.u, example.labels)
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-10)
    got, wanted = (torch.autograd.grad(value, example.u)[0] for value in (actual, expected))
    torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-10)


def test_scale_one_is_cross_entropy_with_logits(example):
    loss = CSQLoss(12, 5, scale=1.0, quantization_weight=0)
    target = (targets_by_hand(loss, example.labels) + 1) / 2
    expected = torch.nn.functional.binary_cross_entropy_with_logits(example.u, target)
    torch.testing.assert_close(loss(example.u, example.labels), expected, rtol=1e-10, atol=1e-10)


def test_worked_by_hand():
    loss = CSQLoss(2, 2, centers=[[1, 1], [-1, 1]], quantization_weight=1.0)
    value = loss(torch.zeros(1, 2, dtype=torch.float64), torch.tensor([1]))
    assert value.item() == pytest.approx(np.log(2) + 1)
    assert loss.last_terms["center"].item() == pytest.approx(np.log(2))


def test_ties_between_centers_take_the_stored_bits():
    loss = CSQLoss(4, 2, centers=[[1, 1, 1, 1], [1, -1, 1, -1]], quantization_weight=0)
    u = torch.tensor([[5.0, 5.0, 5.0, 5.0]]) * torch.where(torch.arange(4) % 2 == 0, 1, loss.tie_break)
    assert loss(u, torch.tensor([[1, 1]])).item() == pytest.approx(np.log1p(np.exp(-10)), rel=1e-4)


def test_tie_bits_are_in_the_state_dict():
    first, second = CSQLoss(64, 4, seed=1), CSQLoss(64, 4, seed=2)
    assert not torch.equal(first.tie_break, second.tie_break)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.tie_break, second.tie_break)
    assert torch.equal(first.centers, second.centers)


def test_default_centers_are_hadamard_or_random():
    assert np.array_equal(CSQLoss(16, 20, seed=3).centers.numpy(), np.asarray(hadamard_centers(20, 16, seed=3)))
    assert CSQLoss(10, 20).centers.sum(1).tolist() == [0] * 20
    assert CSQLoss(16, 100).centers.sum(1).tolist() == [0] * 100


@pytest.mark.parametrize("kind", ["book", "array", "tensor"])
def test_given_centers(kind):
    book = hadamard_centers(5, 12, seed=7)
    given = {"book": book, "array": np.asarray(book, dtype=np.float32), "tensor": torch.from_numpy(np.asarray(book))}
    assert np.array_equal(CSQLoss(12, 5, centers=given[kind]).centers.numpy(), np.asarray(book))


def test_large_embeddings_stay_finite():
    loss = CSQLoss(12, 5)
    u = torch.full((2, 12), 1e4, requires_grad=True)
    value = loss(u, torch.tensor([0, 1]))
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(u.grad).all()


def test_gradcheck(example):
    u = example.u.detach()[:3].clone().requires_grad_()
    loss = CSQLoss(12, 5)
    assert torch.autograd.gradcheck(lambda x: loss(x, example.labels[:3]), (u,))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"centers": np.ones((5, 11))}, r"centers must have shape \[num_classes=5, bits=12\], got \(5, 11\)"),
        ({"centers": np.zeros((5, 12))}, r"centers must hold only -1 and \+1"),
        ({"quantization_weight": -1}, "quantization_weight must be at least 0"),
        ({"scale": -2}, "scale must be at least 0"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        CSQLoss(12, 5, **options)


@pytest.mark.parametrize("dtype", ["bool", "complex64"])
def test_centers_that_are_no_real_numbers_are_named(dtype):
    for centers in (np.ones((5, 12), dtype), torch.ones(5, 12).to(getattr(torch, dtype))):
        with pytest.raises(TypeError, match=f"centers must be real numbers, got {dtype}"):
            CSQLoss(12, 5, centers=centers)


def test_references_are_refused(example):
    with pytest.raises(ValueError, match="ref_emb must be None: CSQLoss"):
        CSQLoss(12, 5)(example.u, example.labels, ref_emb=example.u, ref_labels=example.labels)


def test_compiles_without_a_break(example):
    loss = CSQLoss(12, 5)
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(example.u, example.labels), loss(example.u, example.labels))
