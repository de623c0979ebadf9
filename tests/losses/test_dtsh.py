from __future__ import annotations

import math

import pytest
import torch

from hashkernels.losses import DTSHLoss


def triplets(theta, relevant, margin, own):
    """One list of losses for each anchor."""
    rows = []
    for q in range(len(theta)):
        losses = []
        for p in range(theta.shape[1]):
            for n in range(theta.shape[1]):
                if relevant[q, p] and not relevant[q, n] and not (own and p == q):
                    losses.append(torch.log(1 + torch.exp(theta[q, n] + margin - theta[q, p])))
        rows.append(losses)
    return rows


def reduce(rows, reduction):
    every = torch.stack([value for row in rows for value in row])
    if reduction == "sum":
        return every.sum()
    if reduction == "triplets":
        return every.mean()
    return torch.stack([torch.stack(row).mean() for row in rows if row]).mean()


@pytest.mark.parametrize("reduction", ["triplets", "anchors", "sum"])
def test_equals_formula(isa, example, assert_same, reduction):
    u = example.u
    error = (torch.where(u > 0, 1.0, -1.0) - u) ** 2
    quantization = error.sum() if reduction == "sum" else error.mean()
    expected = reduce(triplets(u @ u.T / 2, example.relevant, 6.0, True), reduction) + 0.3 * quantization
    assert_same(DTSHLoss(12, 5, quantization_weight=0.3, reduction=reduction)(u, example.labels), expected, u)


def test_margin_and_scale_of_common_implementations(example, assert_same):
    u = example.u
    expected = reduce(triplets(u @ u.T, example.relevant, 5.0, True), "anchors")
    loss = DTSHLoss(12, 5, margin=5.0, scale=1.0, quantization_weight=0, reduction="anchors")
    assert_same(loss(u, example.labels), expected, u)


def test_reference_equals_formula(reference_example, assert_same):
    batch, ref, ref_labels, relevant = reference_example
    expected = reduce(triplets(batch.u @ ref.T / 2, relevant, 6.0, False), "triplets")
    actual = DTSHLoss(12, 5, quantization_weight=0)(batch.u, batch.labels, ref_emb=ref, ref_labels=ref_labels)
    assert_same(actual, expected, batch.u, ref)


def test_worked_by_hand():
    u = torch.tensor([[1.0, 1.0], [1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
    # two triplets, both with theta_qp = 1, theta_qn = -1 and margin 1
    value = DTSHLoss(2, 2)(u, torch.tensor([0, 0, 1]))
    assert value.item() == pytest.approx(math.log1p(math.exp(-1 + 1 - 1)))


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2]])
def test_without_triplets_only_the_quantization_is_left(labels):
    u = torch.full((3, 4), 0.5, requires_grad=True)
    loss = DTSHLoss(4, 3)
    value = loss(u, torch.tensor(labels))
    value.backward()
    assert loss.last_terms["likelihood"].item() == 0
    assert value.item() == pytest.approx(0.25)
    assert torch.isfinite(u.grad).all()


def test_gradcheck(example):
    u = example.u.detach()[:5].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: DTSHLoss(12, 5)(x, example.labels[:5]), (u,))


def test_bad_options():
    with pytest.raises(ValueError, match="reduction must be one of triplets, anchors, sum"):
        DTSHLoss(12, 5, reduction="mean")
    with pytest.raises(ValueError, match="drawn must be at least 1, got 0"):
        DTSHLoss(12, 5, num_train=3, drawn=0)


def test_bank_equals_formula_over_the_items_of_other_batches(example, assert_same):
    """With more draws than items of a class all of the bank takes part, but for the batch itself."""
    loss = DTSHLoss(12, 5, num_train=20, drawn=9, quantization_weight=0).double()
    first = [7, 0, 19, 3, 2]
    assert loss(example.u[:5], example.labels[:5], indices=torch.tensor(first)).item() == 0  # the bank is empty
    u = example.u.detach()[4:].clone().requires_grad_()
    actual = loss(u, example.labels[4:], indices=torch.tensor([2, 1, 4, 5, 6]))  # item 4 comes again
    kept = example.u.detach()[:4]
    expected = reduce(triplets(u @ kept.T / 2, example.relevant[4:, :4], 6.0, False), "triplets")
    assert_same(actual, expected, u)
    loss.eval()
    expected = reduce(triplets(u @ example.u.detach().T / 2, example.relevant[4:], 6.0, False), "triplets")
    assert_same(loss(u, example.labels[4:]), expected, u)


@pytest.mark.parametrize("num_train", [100, 1000])  # fewer than 3 for each class, and more
@pytest.mark.parametrize("form", ["ids", "ids on a GPU", "one-hot"])
def test_bank_draws_up_to_so_many_items_of_each_class(form, num_train, monkeypatch):
    if form == "ids on a GPU":
        monkeypatch.setattr("hashkernels.losses._bank.value_checks_enabled", lambda tensor: False)
    torch.manual_seed(0)
    loss = DTSHLoss(4, 70, num_train=num_train, drawn=3)
    labels = torch.cat([torch.full((60,), 69), torch.arange(40) % 20])
    given = torch.nn.functional.one_hot(labels, 70) if form == "one-hot" else labels
    loss(torch.randn(100, 4), given, indices=torch.arange(100))
    eligible = loss.bank.filled.clone()
    eligible[60:70] = False
    draws = []
    for _ in range(300):
        rows, counted = loss.bank.draw(eligible, 3)
        assert (counted is not None) == (form == "ids on a GPU")  # a place for all that may be drawn
        draws.append(rows if counted is None else rows[counted])
    for rows in draws:
        assert bool(eligible[rows].all())
        assert torch.bincount(labels[rows], minlength=70).tolist() == [1] * 10 + [2] * 10 + [0] * 49 + [3]
    assert len(torch.cat(draws).unique()) == 90  # all that may come do come


@pytest.mark.parametrize("num_train", [100, 1000])
def test_places_where_nothing_is_drawn_change_neither_loss_nor_gradient(num_train, monkeypatch):
    def step():
        torch.manual_seed(0)
        loss = DTSHLoss(12, 70, num_train=num_train, drawn=3).double()
        u = torch.randn(100, 12, dtype=torch.float64, requires_grad=True)
        for part in (slice(0, 70), slice(60, 100)):
            value = loss(u[part], torch.arange(100)[part] % 20, indices=torch.arange(100)[part])
        return value.detach(), *torch.autograd.grad(value, u)

    here = step()
    monkeypatch.setattr("hashkernels.losses._bank.value_checks_enabled", lambda tensor: False)
    torch.testing.assert_close(here, step(), rtol=1e-12, atol=1e-12)
