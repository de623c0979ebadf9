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
def test_equals_formula(example, assert_same, reduction):
    check(example, assert_same, reduction)


@pytest.mark.usefixtures("one_row_blocks")
def test_in_blocks_equals_formula(example, assert_same):
    check(example, assert_same, "triplets")


def check(example, assert_same, reduction):
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
