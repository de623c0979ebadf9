"""GreedyHash, OrthoHash and DPN, and where losses make their centers."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch

from hashkernels.losses import CSQLoss, DPNLoss, ECMLoss, GreedyHashLoss, OrthoHashLoss
from hashkernels.surrogate import SurrogateLoss

CENTERS = torch.ones(5, 12)


def shares(labels):
    hot = (labels if labels.ndim == 2 else torch.nn.functional.one_hot(labels, 5)).double()
    return hot / hot.sum(1, keepdim=True)


def cross_entropy(logits, labels):
    probabilities = torch.exp(logits) / torch.exp(logits).sum(1, keepdim=True)
    return -(shares(labels) * torch.log(probabilities)).sum(1).mean()


@pytest.mark.parametrize("estimator", ["identity", "clip", "tanh"])
def test_greedyhash_equals_formula(example, assert_same, estimator):
    u = example.u
    loss = GreedyHashLoss(12, 5, quantization_weight=0.2, estimator=estimator).double()
    w = loss.classifier.weight
    # a surrogate that has the value of the sign and the gradient of the estimator
    slope = {"identity": u, "clip": u.clamp(-1, 1), "tanh": torch.tanh(u)}[estimator]
    code = torch.where(u > 0, 1.0, -1.0) - slope.detach() + slope
    expected = cross_entropy(code @ w.T, example.labels) + 0.2 * ((u.abs() - 1).abs() ** 3).mean()
    assert_same(loss(u, example.labels), expected, u, w)


def test_greedyhash_gives_zero_a_sign():
    loss = GreedyHashLoss(2, 2, quantization_weight=0)
    with torch.no_grad():
        loss.classifier.weight.copy_(torch.tensor([[1.0, 1.0], [0.0, 0.0]]))
    value = loss(torch.zeros(1, 2), torch.tensor([0]))
    assert value.item() == pytest.approx(math.log(1 + math.exp(2)))


def test_greedyhash_pulls_zero_to_its_code():
    loss = GreedyHashLoss(2, 2, quantization_weight=0.5).double()
    torch.nn.init.zeros_(loss.classifier.weight)
    u = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(loss(u, torch.tensor([0])), u)
    # 0 is of the code -1, and so are all numbers below: the derivative is that from the left.
    before, at = (loss(torch.full((1, 2), x, dtype=torch.float64), torch.tensor([0])) for x in (-1e-7, 0.0))
    assert slope.tolist() == [[0.75, 0.75]]
    assert slope.sum().item() == pytest.approx((at - before).item() / 1e-7, rel=1e-6)


@pytest.mark.parametrize("angular", [False, True])
def test_orthohash_equals_formula(example, assert_same, angular):
    u = example.u
    loss = OrthoHashLoss(12, 5, scale=6.0, margin=0.3, angular=angular)
    centers = loss.centers.double()
    cosine = u @ centers.T / (u.norm(dim=1, keepdim=True) * math.sqrt(12))
    own = shares(example.labels) > 0
    shifted = torch.cos(torch.acos(cosine) + 0.3) if angular else cosine - 0.3
    expected = cross_entropy(6.0 * torch.where(own, shifted, cosine), example.labels)
    assert_same(loss(u, example.labels), expected, u)


@pytest.mark.parametrize("angular", [False, True])
def test_orthohash_at_its_center_has_a_finite_gradient(angular):
    loss = OrthoHashLoss(16, 4, angular=angular)
    u = loss.centers.float().requires_grad_()
    loss(u, torch.arange(4)).backward()
    assert torch.isfinite(u.grad).all()


@pytest.mark.parametrize("angular", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_orthohash_gives_an_embedding_of_zeros_no_gradient(angular, dtype):
    u = torch.randn(6, 16, generator=torch.Generator().manual_seed(0)).to(dtype).relu()
    u[0] = 0
    u.requires_grad_()
    value = OrthoHashLoss(16, 3, angular=angular)(u, torch.arange(6) % 3)
    value.backward()
    assert math.isfinite(value.item())
    assert not u.grad[0].any()
    assert 0 < u.grad.abs().max() < 10


@pytest.mark.parametrize("multi_label", ["sum", "majority"])
def test_dpn_equals_formula(example, assert_same, multi_label):
    u = example.u
    loss = DPNLoss(12, 5, margin=0.8, multi_label=multi_label)
    centers, hot = loss.centers.double(), shares(example.labels) > 0
    total = 0
    for i in range(9):
        own = centers[hot[i]]
        if multi_label == "majority":
            votes = own.sum(0)
            own = torch.where(votes == 0, loss.tie_break.double(), votes.sign())[None]
        for center in own:
            total = total + torch.relu(0.8 - u[i] * center).sum()
    assert_same(loss(u, example.labels), total / 9, u)


def test_dpn_centers_become_the_majority_of_the_codes_of_their_class():
    centers = torch.tensor([[1, 1, 1], [-1, 1, 1], [1, -1, 1]])
    loss = DPNLoss(3, 3, centers=centers, update_every=4)
    u = torch.tensor([[-0.5, 2.0, -1.0], [-3.0, -0.1, 0.0], [2.0, 2.0, 2.0]])
    loss(u, torch.tensor([0, 0, 1]))
    assert torch.equal(loss.centers, centers.to(torch.int8))  # three items of four
    loss.eval()(u, torch.tensor([0, 0, 1]))
    assert torch.equal(loss.centers, centers.to(torch.int8))
    loss.train()(u[:1], torch.tensor([[0, 1, 0]]))
    # class 0: -1, undecided, -1; class 1: one code +++ and one -+-; class 2 has no items
    assert loss.centers.tolist() == [[-1, 1, -1], [-1, 1, 1], [1, -1, 1]]
    assert loss.votes.tolist() == [[0] * 3] * 3
    assert loss.items_seen.item() == 0
    fixed = DPNLoss(3, 3, centers=centers)
    fixed(u, torch.tensor([0, 0, 1]))
    assert not fixed.votes.any()
    by_hand = DPNLoss(3, 3, centers=centers, update_every=0)
    by_hand(u, torch.tensor([0, 0, 1]))
    by_hand.update_centers()
    assert by_hand.centers.tolist() == [[-1, 1, -1], [1, 1, 1], [1, -1, 1]]


def test_dpn_worked_by_hand():
    loss = DPNLoss(3, 2, centers=[[1, 1, 1], [-1, 1, 1]])
    u = torch.tensor([[0.5, 2.0, -1.0], [0.0, 0.0, 0.0]])
    assert loss(u, torch.tensor([0, 1])).item() == pytest.approx((0.5 + 0 + 2 + 3) / 2)
    assert loss(u[:1], torch.tensor([[1, 1]])).item() == pytest.approx(0.5 + 2 + 1.5 + 2)


@pytest.mark.parametrize("make", [OrthoHashLoss, DPNLoss])
def test_centers_follow_the_seed_and_the_state_dict(make):
    first, second, third = make(32, 10, seed=1), make(32, 10, seed=1), make(32, 10, seed=2)
    assert torch.equal(first.centers, second.centers)
    assert not torch.equal(first.centers, third.centers)
    third.load_state_dict(first.state_dict())
    assert torch.equal(first.centers, third.centers)


@pytest.mark.parametrize(
    "make",
    [
        *(partial(kind, 12, 5, centers=c) for kind in (CSQLoss, DPNLoss, OrthoHashLoss) for c in (None, CENTERS)),
        partial(ECMLoss, 12, 5, classwise=True),
        partial(ECMLoss, 12, 5, classwise=True, centers=CENTERS),
        partial(SurrogateLoss, None, CENTERS),
    ],
)
def test_all_that_a_loss_keeps_is_made_on_the_default_device(make):
    with torch.device("meta"):
        loss = make()
    assert {tensor.device.type for tensor in loss.state_dict().values()} == {"meta"}


@pytest.mark.parametrize("loss", [OrthoHashLoss(12, 5), DPNLoss(12, 5)])
def test_gradcheck(example, loss):
    u = example.u.detach()[:4].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(x, example.labels[:4]), (u,))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GreedyHashLoss(12, 5, estimator="relu"), "estimator must be one of identity, clip, tanh, got 'relu'"),
        (lambda: OrthoHashLoss(12, 5, centers=torch.ones(5, 11)), r"centers must have shape"),
        (lambda: DPNLoss(12, 5, centers=torch.ones(4, 12)), r"centers must have shape"),
        (lambda: DPNLoss(2, 2, centers=[[1, 1], [1]]), "centers must have rows of one length"),
        (lambda: DPNLoss(12, 5, multi_label="mean"), "multi_label must be one of sum, majority"),
    ],
)
def test_bad_options(make, message):
    with pytest.raises(ValueError, match=message):
        make()
