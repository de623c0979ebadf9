from __future__ import annotations

import pytest
import torch

from hashkernels.losses import DSDHLoss


def objective(b, w, u, y, mu, nu, eta):
    return mu * ((y - b @ w) ** 2).sum() + nu * (w**2).sum() + eta * ((b - u) ** 2).sum()


def filled_loss(example, **options):
    loss = DSDHLoss(12, 5, num_train=9, update_every=0, **options).double()
    loss(example.u, example.labels, indices=torch.arange(9))
    return loss


def one_hot(labels):
    return (labels if labels.ndim == 2 else torch.nn.functional.one_hot(labels, 5)).double()


def test_network_loss_equals_formula(example, assert_same):
    u = example.u
    loss = DSDHLoss(12, 5, num_train=9, update_every=0, quantization_weight=0.3).double()
    first = u.detach().flip(0)
    loss(first, example.labels.flip(0), indices=torch.arange(9).flip(0))
    codes = torch.where(first.flip(0) > 0, 1.0, -1.0).double()
    moved = -u.detach()
    v = moved.clone().requires_grad_()
    actual = loss(v, example.labels, indices=torch.arange(9))
    theta = v @ moved.T / 2
    pairs = (torch.log(1 + torch.exp(theta)) - example.relevant * theta)[~torch.eye(9, dtype=torch.bool)]
    # the codes stay those of the first embeddings, not of the present ones
    assert_same(actual, pairs.mean() + 0.3 * ((codes - v) ** 2).mean(), v)


@pytest.mark.parametrize("on_gpu", [False, True])
def test_a_code_is_the_sign_of_the_first_embedding_whatever_comes_with_it(on_gpu, monkeypatch):
    if on_gpu:
        monkeypatch.setattr("hashkernels.losses.dsdh.value_checks_enabled", lambda tensor: False)
    loss = DSDHLoss(2, 2, num_train=3, update_every=0)
    steps = [([0], [[1.0, -1.0]]), ([0, 1], [[-1.0, 1.0], [-1.0, 1.0]]), ([1, 0], [[1.0, 1.0], [-1.0, -1.0]])]
    for indices, u in steps:
        loss(torch.tensor(u), torch.zeros(len(u), dtype=torch.int64), indices=torch.tensor(indices))
    assert loss.codes.tolist() == [[1, -1], [-1, 1], [-1, -1]]


def test_classifier_is_ridge_regression_and_bits_follow_it(example):
    mu, nu, eta = 0.5, 0.7, 0.2
    loss = filled_loss(example, mu=mu, nu=nu, eta=eta)
    b, u, y = loss.codes.double(), loss.bank.embeddings, one_hot(example.labels)
    loss.update_codes()
    w = torch.linalg.inv(b.T @ b + nu / mu * torch.eye(12, dtype=torch.float64)) @ b.T @ y
    torch.testing.assert_close(loss.classifier, w, rtol=1e-10, atol=1e-10)
    # each bit of each item in turn takes the value with the lesser objective, all else fixed
    expected = b.clone()
    for bit in range(12):
        for item in range(9):
            costs = []
            for value in (-1.0, 1.0):
                trial = expected.clone()
                trial[item, bit] = value
                costs.append(objective(trial, w, u, y, mu, nu, eta).item())
            if costs[0] != costs[1]:
                expected[item, bit] = -1.0 if costs[0] < costs[1] else 1.0
    assert torch.equal(loss.codes.double(), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_loss_in_half_precision_updates_codes_in_single(example, dtype):
    loss, wide = (DSDHLoss(12, 5, num_train=9, update_every=0).to(kind) for kind in (dtype, torch.float32))
    u = example.u.detach().to(dtype)
    for one in (loss, wide):
        one(u, example.labels, indices=torch.arange(9))
        one.update_codes()
    assert loss.classifier.dtype == dtype
    assert torch.equal(loss.classifier, wide.classifier.to(dtype))
    assert torch.equal(loss.codes, wide.codes)


def test_updates_never_raise_the_objective(example):
    mu, nu, eta = 1.0, 1.0, 0.05
    loss = filled_loss(example, mu=mu, nu=nu, eta=eta, sweeps=3)
    u, y = loss.bank.embeddings, one_hot(example.labels)
    loss.update_codes()
    values = []
    for _ in range(4):
        values.append(objective(loss.codes.double(), loss.classifier, u, y, mu, nu, eta).item())
        loss.update_codes()
    assert values == sorted(values, reverse=True)


def test_class_ids_and_one_hot_labels_move_the_codes_alike():
    generator = torch.Generator().manual_seed(0)
    u, ids = torch.randn(60, 12, generator=generator), torch.randint(0, 5, (60,), generator=generator)
    moved = []
    for labels in (ids, one_hot(ids)):
        loss = DSDHLoss(12, 5, num_train=60, update_every=0, eta=0.1).double()
        loss(u.double(), labels, indices=torch.arange(60))
        before = loss.codes.clone()
        loss.update_codes()
        assert not torch.equal(loss.codes, before)
        moved.append((loss.codes, loss.classifier))
    assert torch.equal(moved[0][0], moved[1][0])
    torch.testing.assert_close(moved[0][1], moved[1][1], rtol=1e-12, atol=1e-12)


def test_undecided_bits_stay():
    loss = DSDHLoss(2, 2, num_train=1, update_every=0, eta=0.0).double()
    no_class = torch.zeros(1, 2)  # the classifier is zero, and nothing speaks for either value
    loss(torch.tensor([[1.0, -1.0]]).double(), no_class, indices=torch.tensor([0]))
    loss.update_codes()
    assert loss.codes.tolist() == [[1, -1]]


@pytest.mark.parametrize(("update_every", "expected"), [(None, 1), (5, 2), (0, 0)])
def test_codes_are_updated_after_so_many_items(monkeypatch, update_every, expected):
    calls = []
    monkeypatch.setattr(DSDHLoss, "update_codes", lambda self: calls.append(1))
    loss = DSDHLoss(4, 2, num_train=10, update_every=update_every)
    for start in (0, 4, 6):
        loss(torch.randn(4, 4), torch.tensor([0, 1, 0, 1]), indices=torch.arange(start, start + 4))
    assert len(calls) == expected


def test_state_dict_holds_everything(example):
    first, second = (DSDHLoss(12, 5, num_train=9).double() for _ in range(2))
    first(example.u, example.labels, indices=torch.arange(9))
    second.load_state_dict(first.state_dict())
    values = [loss(example.u.detach().flip(0), example.labels, indices=torch.arange(9)) for loss in (first, second)]
    assert values[0].item() == values[1].item()
    assert torch.equal(first.codes, second.codes)


def test_update_before_any_item_does_nothing():
    loss = DSDHLoss(4, 2, num_train=3)
    loss.update_codes()
    assert bool((loss.codes == -1).all())


def test_evaluation_needs_no_indices(example):
    loss = filled_loss(example).eval()
    before = loss.bank.embeddings.clone()
    assert torch.isfinite(loss(example.u.detach().flip(0), example.labels))
    assert torch.equal(loss.bank.embeddings, before)


def test_num_train_is_required():
    with pytest.raises(ValueError, match="num_train must be given"):
        DSDHLoss(12, 5)
