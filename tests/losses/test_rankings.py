"""MIHash and TALR against histograms written out."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from hashkernels.losses import MIHashLoss, TALRLoss


def histogram(d, weights, num_bins, bits=12):
    """Triangular kernel of each bin, over all bins and items."""
    width = bits / num_bins
    centers = torch.arange(num_bins + 1, dtype=torch.float64) * width
    kernel = torch.relu(1 - (d[:, None] - centers).abs() / width)
    return (kernel * weights[:, None]).sum(0)


def entropy(p):
    p = p[p > 0]
    return -(p * torch.log2(p)).sum()


def distances(u, v, slope):
    a, b = (2 * torch.sigmoid(slope * x) - 1 for x in (u, v))
    return (12 - a @ b.T) / 2


def information(d, relevant, num_bins):
    near, far = (histogram(d, mask.double(), num_bins) for mask in (relevant, ~relevant))
    num_near, num_far = relevant.double().sum(), (~relevant).double().sum()
    n = num_near + num_far
    return entropy((near + far) / n) - num_near / n * entropy(near / num_near) - num_far / n * entropy(far / num_far)


def average_precision(d, relevant, num_bins):
    near = histogram(d, relevant.double(), num_bins)
    counts = histogram(d, torch.ones_like(d), num_bins)
    total, done, done_near = 0.0, 0.0, 0.0
    for c, c_near in zip(counts, near, strict=True):
        total = total + c_near * (done_near + done_near + c_near + 1) / (done + done + c + 1)
        done, done_near = done + c, done_near + c_near
    return total / relevant.sum()


def ndcg(d, shared, num_bins):
    gains = 2.0**shared - 1
    gain = histogram(d, gains, num_bins)
    counts = histogram(d, torch.ones_like(d), num_bins)
    total, done = 0.0, 0.0
    for c, g in zip(counts, gain, strict=True):
        total = total + g / torch.log2(done + (c + 1) / 2 + 1)
        done = done + c
    best = sorted(gains.tolist(), reverse=True)
    return total / sum(g / math.log2(rank + 1) for rank, g in enumerate(best, 1))


def queries(d, relevant, own):
    for q in range(len(d)):
        others = torch.arange(d.shape[1]) != q if own else torch.ones(d.shape[1], dtype=torch.bool)
        yield d[q][others], relevant[q][others], others


@pytest.mark.parametrize(("num_bins", "slope", "reduction"), [(None, 1.0, "mean"), (5, 3.0, "mean"), (16, 1.0, "sum")])
def test_mihash_equals_formula(example, assert_same, num_bins, slope, reduction):
    check_mihash(example, assert_same, num_bins, slope, reduction)


@pytest.mark.usefixtures("one_row_blocks")
def test_mihash_in_blocks_equals_formula(example, assert_same):
    check_mihash(example, assert_same, None, 1.0, "mean")


@pytest.mark.parametrize("bins_at_once", [1, 3, 100])
@pytest.mark.parametrize("criterion", ["information", "ap", "ndcg"])
def test_histograms_without_atomic_additions_are_the_same(example, monkeypatch, criterion, bins_at_once):
    """What CUDA tensors take, where the additions of scatter_add come in any order."""
    loss = MIHashLoss(12, 5) if criterion == "information" else TALRLoss(12, 5, criterion=criterion)
    expected = loss(example.u, example.labels)
    gradient = torch.autograd.grad(expected, example.u)[0]
    monkeypatch.setattr("hashkernels.losses._histogram.adds_in_any_order", lambda device: True)
    monkeypatch.setattr("hashkernels.losses._histogram.BLOCK_ELEMENTS", bins_at_once * len(example.u) ** 2)
    monkeypatch.setattr(torch.Tensor, "scatter_add_", None)
    actual = loss(example.u, example.labels)
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(torch.autograd.grad(actual, example.u)[0], gradient, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("kind", [MIHashLoss, TALRLoss])
def test_histograms_without_atomic_additions_start_no_operations_for_each_bin(kind, example, monkeypatch):
    monkeypatch.setattr("hashkernels.losses._histogram.adds_in_any_order", lambda device: True)

    class Count(TorchDispatchMode):
        started = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.started += 1
            return func(*args, **(kwargs or {}))

    counts = []
    for num_bins in (4, 64):
        with Count() as count:
            torch.autograd.grad(kind(12, 5, num_bins=num_bins)(example.u, example.labels), example.u)
        counts.append(count.started)
    assert counts[0] == counts[1]


def check_mihash(example, assert_same, num_bins, slope, reduction):
    u = example.u
    values = [
        information(d, relevant, num_bins or 6)
        for d, relevant, _ in queries(distances(u, u, slope), example.relevant, True)
        if relevant.any() and not relevant.all()
    ]
    values = torch.stack(values)
    loss = MIHashLoss(12, 5, num_bins=num_bins, slope=slope, reduction=reduction)
    assert_same(loss(u, example.labels), -(values.mean() if reduction == "mean" else values.sum()), u)


@pytest.mark.parametrize(("num_bins", "reduction"), [(None, "mean"), (6, "sum")])
@pytest.mark.parametrize("criterion", ["ap", "ndcg"])
def test_talr_equals_formula(example, assert_same, criterion, num_bins, reduction):
    u, bins = example.u, num_bins or 12
    values = []
    for q, (d, relevant, others) in enumerate(queries(distances(u, u, 1.0), example.relevant, True)):
        if relevant.any():
            shared = example.shared[q][others]
            values.append(average_precision(d, relevant, bins) if criterion == "ap" else ndcg(d, shared, bins))
    values = torch.stack(values)
    loss = TALRLoss(12, 5, criterion=criterion, num_bins=num_bins, reduction=reduction)
    assert_same(loss(u, example.labels), -(values.mean() if reduction == "mean" else values.sum()), u)


@pytest.mark.parametrize("criterion", ["information", "ap", "ndcg"])
def test_reference_equals_formula(reference_example, assert_same, criterion):
    batch, ref, ref_labels, relevant = reference_example
    hot = [x if x.ndim == 2 else torch.nn.functional.one_hot(x, 5) for x in (batch.labels, ref_labels)]
    shared = (hot[0] @ hot[1].T).double()
    values = []
    for q, (d, near, _) in enumerate(queries(distances(batch.u, ref, 1.0), relevant, False)):
        if criterion == "information" and near.any() and not near.all():
            values.append(information(d, near, 6))
        elif criterion == "ap" and near.any():
            values.append(average_precision(d, near, 12))
        elif criterion == "ndcg" and near.any():
            values.append(ndcg(d, shared[q], 12))
    loss = MIHashLoss(12, 5) if criterion == "information" else TALRLoss(12, 5, criterion=criterion)
    actual = loss(batch.u, batch.labels, ref_emb=ref, ref_labels=ref_labels)
    assert_same(actual, -torch.stack(values).mean(), batch.u, ref)


def test_information_of_separated_classes_is_the_entropy_of_the_label():
    u = 30 * torch.tensor([[1.0] * 4, [1.0] * 4, [-1.0] * 4, [-1.0] * 4])
    value = MIHashLoss(4, 2)(u, torch.tensor([0, 0, 1, 1]))
    share = 1 / 3
    assert value.item() == pytest.approx(share * math.log2(share) + (1 - share) * math.log2(1 - share), rel=1e-6)


def expected_over_orders(distance, relevant, score):
    """Mean of a score over all orders of the items that keep to their distances."""
    orders = [p for p in itertools.permutations(range(len(distance))) if sorted(distance) == [distance[i] for i in p]]
    return sum(score([relevant[i] for i in p]) for p in orders) / len(orders)


def exact_average_precision(hits):
    seen, total = 0, 0.0
    for rank, hit in enumerate(hits, 1):
        seen += hit
        total += hit * seen / rank
    return total / seen


def test_average_precision_is_close_to_its_mean_over_orders_of_ties():
    saturated = 50.0
    code = torch.tensor([[1, 1, 1], [1, 1, -1], [1, -1, 1], [-1, -1, 1], [-1, -1, -1], [-1, 1, 1]]).double()
    labels = torch.tensor([0, 0, 1, 0, 1, 1])
    loss = TALRLoss(3, 2, reduction="sum")
    value = -loss(code * saturated, labels).item()
    exact = 0.0
    for q in range(6):
        others = [i for i in range(6) if i != q]
        distance = [int((code[q] != code[i]).sum()) for i in others]
        relevant = [int(labels[q] == labels[i]) for i in others]
        exact += expected_over_orders(distance, relevant, exact_average_precision)
    assert value == pytest.approx(exact, abs=0.1)


def test_items_of_one_code_have_finite_gradients():
    for loss in (MIHashLoss(4, 2), TALRLoss(4, 2), TALRLoss(4, 2, criterion="ndcg")):
        u = torch.full((4, 4), 50.0, requires_grad=True)
        loss(u, torch.tensor([0, 0, 1, 1])).backward()
        assert torch.isfinite(u.grad).all()


@pytest.mark.parametrize("loss", [MIHashLoss(12, 5), TALRLoss(12, 5), TALRLoss(12, 5, criterion="ndcg")])
def test_gradcheck(example, loss):
    u = example.u.detach()[:5].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(x, example.labels[:5]), (u,))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MIHashLoss(12, 5, num_bins=0), "num_bins must be at least 1, got 0"),
        (lambda: MIHashLoss(12, 5, slope=-1), "slope must be at least 0"),
        (lambda: TALRLoss(12, 5, criterion="map"), "criterion must be one of ap, ndcg, got 'map'"),
        (lambda: TALRLoss(12, 5, reduction="max"), "reduction must be one of mean, sum"),
    ],
)
def test_bad_options(make, message):
    with pytest.raises(ValueError, match=message):
        make()
