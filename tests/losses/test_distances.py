"""DSH and DCH against sums over pairs written out."""

from __future__ import annotations

import math

import pytest
import torch

from hashkernels.losses import DCHLoss, DSHLoss


def off_diagonal(n):
    return ~torch.eye(n, dtype=torch.bool)


def test_dsh_equals_formula(example, assert_same):
    u = example.u
    d = ((u[:, None] - u[None]) ** 2).sum(-1)
    for margin in (24.0, 5.0):
        values = torch.where(example.relevant, d, torch.relu(margin - d)) / 2
        expected = values[off_diagonal(9)].mean() + 0.03 * (u.abs() - 1).abs().sum(1).mean()
        loss = DSHLoss(12, 5, margin=None if margin == 24 else margin, quantization_weight=0.03)
        assert_same(loss(u, example.labels), expected, u)


def test_dsh_weight_is_twice_the_alpha_of_the_paper(example):
    u, alpha = example.u, 0.01
    d = ((u[:, None] - u[None]) ** 2).sum(-1)
    pull = (u.abs() - 1).abs().sum(1)
    values = torch.where(example.relevant, d, torch.relu(24 - d)) / 2 + alpha * (pull[:, None] + pull)
    torch.testing.assert_close(DSHLoss(12, 5)(u, example.labels), values[off_diagonal(9)].mean())


def cosine_distance(u, most=1.0):
    unit = u / u.norm(dim=1, keepdim=True)
    return 6 * (1 - (unit @ unit.T).clamp(max=most))


@pytest.mark.usefixtures("one_row_blocks")
def test_dch_in_blocks_equals_formula(example, assert_same):
    check_dch(example, assert_same, 1.0)


@pytest.mark.parametrize("most", [1.0, 0.3])
def test_dch_equals_formula(example, assert_same, most):
    check_dch(example, assert_same, most)


def check_dch(example, assert_same, most):
    u, gamma = example.u, 7.0
    positive, negative = example.relevant & off_diagonal(9), ~example.relevant
    d = cosine_distance(u, most)
    count = 9 * 8
    weight = positive.double() * count / positive.sum() + negative.double() * count / negative.sum()
    s = example.relevant.double()
    inner = s * torch.log(d.clamp(min=1e-9) / gamma) + torch.log(1 + gamma / d.clamp(min=1e-9))  # the paper's form
    to_ones = 6 * (1 - (u.abs().sum(1) / (u.norm(dim=1) * math.sqrt(12))).clamp(max=most))
    expected = (weight * inner).sum() / count + 0.2 * torch.log(1 + to_ones / gamma).mean()
    loss = DCHLoss(12, 5, gamma=gamma, quantization_weight=0.2, max_cosine=most)
    assert_same(loss(u, example.labels), expected, u)


def test_dch_as_the_authors_code_has_it(example, assert_same):
    u, gamma = example.u, 20.0
    h = torch.tanh(u)
    d = ((h[:, None] - h[None]) ** 2).sum(-1) + 0.001
    p = gamma / (d + gamma)
    positive, negative = example.relevant & off_diagonal(9), ~example.relevant
    count = 9 * 8
    weight = positive.double() * count / positive.sum() + negative
    values = torch.where(example.relevant, -torch.log(p), -torch.log(1 - p))
    expected = (weight * values).sum() / count + 0.5 * ((h.abs() - 1) ** 2).mean()
    loss = DCHLoss(
        12, 5, distance="squared_euclidean", balance="positives", quantization="squared", quantization_weight=0.5
    )
    assert_same(loss(u, example.labels), expected, u)


def test_dch_equal_codes_of_different_classes_stay_finite():
    loss = DCHLoss(4, 2, gamma=20.0, quantization_weight=0, min_distance=1e-3)
    u = torch.ones(2, 4, requires_grad=True)
    value = loss(u, torch.tensor([0, 1]))
    value.backward()
    assert value.item() == pytest.approx(math.log1p(20 / 1e-3), rel=1e-5)
    assert torch.isfinite(u.grad).all()


def test_dch_zero_embedding_stays_finite():
    u = torch.zeros(3, 4, requires_grad=True)
    value = DCHLoss(4, 2)(u, torch.tensor([0, 1, 1]))
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(u.grad).all()


@pytest.mark.parametrize("options", [{}, {"balance": "positives"}, {"num_train": 6}, {"self_pairs": True}])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_dch_gives_an_embedding_of_zeros_no_gradient(options, dtype):
    u = torch.randn(6, 16, generator=torch.Generator().manual_seed(0)).to(dtype).relu()
    u[0] = 0
    u.requires_grad_()
    value = DCHLoss(16, 4, **options)(u, torch.arange(6) % 4, indices=torch.arange(6))
    value.backward()
    assert torch.isfinite(value)
    assert not u.grad[0].any()
    assert 0 < u.grad.abs().max() < 10


@pytest.mark.parametrize("loss", [DSHLoss(12, 5, margin=5.0), DCHLoss(12, 5)])
def test_gradcheck(example, loss):
    u = example.u.detach()[:4].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(x, example.labels[:4]), (u,))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DSHLoss(12, 5, margin=-1), "margin must be at least 0"),
        (lambda: DCHLoss(12, 5, gamma=0), "gamma must be at least 1e-06, got 0"),
        (lambda: DCHLoss(12, 5, distance="l2"), "distance must be one of cosine, squared_euclidean"),
        (lambda: DCHLoss(12, 5, max_cosine=2), "max_cosine must be in -1..1"),
    ],
)
def test_bad_options(make, message):
    with pytest.raises(ValueError, match=message):
        make()
