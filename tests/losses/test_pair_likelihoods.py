"""DPSH, DHN, DBDH and HashNet against sums over pairs written out."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import softplus

from hashkernels.losses import DBDHLoss, DHNLoss, DPSHLoss, HashNetLoss


def off_diagonal(n):
    return ~torch.eye(n, dtype=torch.bool)


def likelihood(theta, relevant):
    return torch.log(1 + torch.exp(theta)) - relevant.double() * theta


def signs(u):
    return torch.where(u > 0, 1.0, -1.0).double()


@pytest.mark.usefixtures("one_row_blocks")
def test_dpsh_in_blocks_equals_formula(example, assert_same):
    check_dpsh(example, assert_same)


def test_dpsh_equals_formula(example, assert_same):
    check_dpsh(example, assert_same)


def check_dpsh(example, assert_same):
    u = example.u
    pairs = likelihood(u @ u.T / 2, example.relevant)[off_diagonal(9)]
    error = (signs(u) - u) ** 2
    actual = DPSHLoss(12, 5, quantization_weight=0.3)(u, example.labels)
    assert_same(actual, pairs.mean() + 0.3 * error.mean(), u)
    actual = DPSHLoss(12, 5, quantization_weight=0.3, reduction="sum")(u, example.labels)
    assert_same(actual, pairs.sum() + 0.3 * error.sum(), u)
    everything = likelihood(u @ u.T / 2, example.relevant)
    actual = DPSHLoss(12, 5, quantization_weight=0, self_pairs=True)(u, example.labels)
    assert_same(actual, everything.mean(), u)


def test_the_weight_of_the_sum_restated_for_the_mean(example):
    count, eta = 9 * 8, 10.0
    total = DPSHLoss(12, 5, quantization_weight=eta, reduction="sum")(example.u, example.labels)
    mean = DPSHLoss(12, 5, quantization_weight=eta * 9 * 12 / count)(example.u, example.labels)
    torch.testing.assert_close(total / count, mean, rtol=1e-12, atol=0)


def test_reference_items_take_the_place_of_the_batch(reference_example, assert_same):
    batch, ref, ref_labels, relevant = reference_example
    actual = DPSHLoss(12, 5, quantization_weight=0)(batch.u, batch.labels, ref_emb=ref, ref_labels=ref_labels)
    assert_same(actual, likelihood(batch.u @ ref.T / 2, relevant).mean(), batch.u, ref)


def test_the_batch_as_its_own_reference_makes_no_self_pairs(example):
    loss = DPSHLoss(12, 5)
    expected = loss(example.u, example.labels)
    again = loss(example.u, example.labels, ref_emb=example.u, ref_labels=example.labels)
    assert again.item() == expected.item()


@pytest.mark.parametrize(("self_pairs", "skip_unfilled"), [(False, True), (True, True), (True, False), (False, False)])
def test_bank_equals_formula(example, assert_same, self_pairs, skip_unfilled):
    loss = DPSHLoss(12, 5, num_train=20, quantization_weight=0, self_pairs=self_pairs, skip_unfilled=skip_unfilled)
    loss = loss.double()
    hot = example.labels if example.labels.ndim == 2 else torch.nn.functional.one_hot(example.labels, 5)
    bank = torch.zeros(20, 12, dtype=torch.float64)
    classes = torch.zeros(20, 5, dtype=torch.int64)
    filled = torch.zeros(20, dtype=torch.bool)
    for items, where in ((slice(0, 5), [3, 0, 19, 7, 11]), (slice(3, 9), [3, 4, 12, 5, 19, 8])):
        u = example.u.detach()[items].clone().requires_grad_()
        actual = loss(u, example.labels[items], indices=torch.tensor(where))
        bank[where], classes[where], filled[where] = u.detach(), hot[items], True
        counted = torch.ones(len(u), 20, dtype=torch.bool)
        if skip_unfilled:
            counted &= filled
        if not self_pairs:
            counted[torch.arange(len(u)), where] = False
        relevant = (hot[items] @ classes.T) > 0
        expected = likelihood(u @ bank.T / 2, relevant)[counted].mean()
        assert_same(actual, expected, u)


def test_dhn_equals_formula(example, assert_same):
    u = example.u
    pairs = likelihood(0.7 * u @ u.T, example.relevant)[off_diagonal(9)]
    error = torch.log(torch.cosh(u.abs() - 1))
    actual = DHNLoss(12, 5, scale=0.7, quantization_weight=0.2)(u, example.labels)
    assert_same(actual, pairs.mean() + 0.2 * error.mean(), u)
    actual = DHNLoss(12, 5, scale=0.7, quantization_weight=0.2, reduction="sum")(u, example.labels)
    assert_same(actual, pairs.sum() + 0.2 * error.sum(), u)


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("balance", ["bits", "samples"])
def test_dbdh_equals_formula(example, assert_same, balance, power):
    u = example.u
    v = torch.where(u > 1, 1.0, torch.where(u < -1, -1.0, u))
    pairs = likelihood(v @ v.T / 2, example.relevant)[off_diagonal(9)]
    means = v.mean(dim=1 if balance == "bits" else 0)
    expected = pairs.mean() + 0.4 * (means.abs() ** power).mean()
    actual = DBDHLoss(12, 5, balance_weight=0.4, balance=balance, power=power)(u, example.labels)
    assert_same(actual, expected, u)


def test_dbdh_on_signs(example):
    u = example.u
    code = signs(u)
    expected = likelihood(code @ code.T / 2, example.relevant)[off_diagonal(9)].mean()
    actual = DBDHLoss(12, 5, balance_weight=0, codes="sign")(u, example.labels)
    torch.testing.assert_close(actual, expected)
    code.requires_grad_()
    pairs = likelihood(code @ code.T / 2, example.relevant)[off_diagonal(9)].mean()
    passed = torch.autograd.grad(pairs, code)[0] * (u.abs() <= 1)
    torch.testing.assert_close(torch.autograd.grad(actual, u)[0], passed)


def overlap(labels):
    if labels.ndim == 1:
        return torch.ones(len(labels), len(labels)).double()
    common = (labels @ labels.T).double()
    either = labels.sum(1)[:, None] + labels.sum(1) - common
    return torch.where(common > 0, common / either, 1.0)


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("weighting", ["balanced", "none", "positive"])
def test_hashnet_equals_formula(example, assert_same, weighting, share):
    u = example.u
    h = torch.tanh(u)
    values = likelihood(0.25 * h @ h.T, example.relevant)
    if share:
        values = values * overlap(example.labels)
    positive, negative = example.relevant & off_diagonal(9), ~example.relevant
    count = 9 * 8
    if weighting == "balanced":
        weight = positive.double() * count / positive.sum() + negative.double() * count / negative.sum()
        expected = (weight * values).sum() / count
    elif weighting == "none":
        expected = values[off_diagonal(9)].mean()
    else:
        weight = 3.0 * positive + 1.0 * negative
        expected = (weight * values).sum() / weight.sum()
    loss = HashNetLoss(12, 5, alpha=0.25, weighting=weighting, positive_weight=3.0, overlap=share)
    assert_same(loss(u, example.labels), expected, u)


def test_hashnet_overlap_against_a_bank(example):
    labels = example.labels if example.labels.ndim == 2 else torch.nn.functional.one_hot(example.labels, 5)
    banked = HashNetLoss(12, 5, num_train=9).double()
    plain = HashNetLoss(12, 5)
    value = banked(example.u, labels, indices=torch.randperm(9))
    torch.testing.assert_close(value, plain(example.u, labels))


def test_hashnet_hardens_by_steps():
    loss = HashNetLoss(4, 2, gamma=0.5, interval=3)
    u, labels = torch.ones(2, 4), torch.tensor([0, 1])
    seen = []
    for _ in range(7):
        seen.append(loss.beta().item())
        loss(u, labels)
    assert seen == pytest.approx([1, 1, 1, math.sqrt(2.5), math.sqrt(2.5), math.sqrt(2.5), 2.0])
    theta = 10 / 4 * 4 * math.tanh(2.0) ** 2
    loss = loss.eval()
    assert loss(u, labels).item() == pytest.approx(math.log1p(math.exp(theta)), rel=1e-6)
    assert int(loss.steps) == 7
    resumed = HashNetLoss(4, 2, gamma=0.5, interval=3)
    resumed.load_state_dict(loss.state_dict())
    assert resumed.beta().item() == 2.0


def test_hashnet_counts_in_the_tensor_that_it_reads():
    """A CUDA graph replays on the tensors that it was captured with."""
    loss = HashNetLoss(4, 2)
    steps = loss.steps
    for _ in range(2):
        loss(torch.randn(4, 4), torch.tensor([0, 1, 0, 1]))
    assert (steps.item(), loss.steps.item()) == (2, 2)


@pytest.mark.parametrize("loss", [DPSHLoss(12, 5), DHNLoss(12, 5), HashNetLoss(12, 5), DBDHLoss(12, 5)])
def test_gradcheck(example, loss):
    u = example.u.detach()[:4].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss.eval()(x, example.labels[:4]), (u,))


@pytest.mark.parametrize("loss", [DPSHLoss(4, 2), DHNLoss(4, 2), HashNetLoss(4, 2), DBDHLoss(4, 2)])
def test_large_embeddings_stay_finite(loss):
    u = torch.full((4, 4), 1e4)
    u[0] *= -1
    u.requires_grad_()
    value = loss(u, torch.tensor([0, 0, 1, 1]))
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(u.grad).all()


def test_worked_by_hand():
    u = torch.tensor([[1.0, 1.0], [1.0, -1.0], [1.0, 1.0]], dtype=torch.float64)
    value = DPSHLoss(2, 2)(u, torch.tensor([0, 0, 1]))
    # theta: 0 (relevant), 1 and 0 (not): each pair counts twice in six
    expected = (math.log(2) + math.log1p(math.e) + math.log(2)) / 3
    assert value.item() == pytest.approx(expected)
    assert softplus(torch.tensor(1.0)).item() == pytest.approx(math.log1p(math.e))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DPSHLoss(12, 5, num_train=0), "num_train must be at least 1, got 0"),
        (lambda: DPSHLoss(12, 5, reduction="max"), "reduction must be one of mean, sum, got 'max'"),
        (lambda: DHNLoss(12, 5, scale=-1), "scale must be at least 0"),
        (lambda: HashNetLoss(12, 5, weighting="class"), "weighting must be one of"),
        (lambda: HashNetLoss(12, 5, interval=0), "interval must be at least 1"),
        (lambda: DBDHLoss(12, 5, power=3), "power must be in 1..2, got 3"),
        (lambda: DBDHLoss(12, 5, balance="rows"), "balance must be one of bits, samples"),
    ],
)
def test_bad_options(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_dpsh_as_the_authors_code_has_it(example, assert_same):
    """One sum over batch times bank, self pairs and unwritten rows included, over the number of its pairs."""
    loss = DPSHLoss(12, 5, num_train=5000, **DPSHLoss.preset("cifar10", 12)).double()
    u, where = example.u, torch.arange(9) * 100
    hot = example.labels if example.labels.ndim == 2 else torch.nn.functional.one_hot(example.labels, 5)
    bank, classes = torch.zeros(5000, 12, dtype=torch.float64), torch.zeros(5000, 5, dtype=torch.int64)
    bank[where], classes[where] = u.detach(), hot
    pairs = likelihood(u @ bank.T / 2, hot @ classes.T > 0)
    expected = (pairs.sum() + 10 * ((signs(u) - u) ** 2).sum()) / (9 * 5000)
    assert_same(loss(u, example.labels, indices=where), expected, u)
