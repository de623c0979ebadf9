"""What a bank keeps of the classes: ids as long as only ids came, packed classes from the first multi-hot batch on."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from hashkernels.losses import DPSHLoss, DTSHLoss, HashNetLoss

BITS, NUM_CLASSES, NUM_TRAIN = 12, 70, 20


def batch(seed, num_items=8):
    generator = torch.Generator().manual_seed(seed)
    u = torch.randn(num_items, BITS, generator=generator, dtype=torch.float64)
    labels = torch.randint(66, NUM_CLASSES, (num_items,), generator=generator)
    indices = torch.randperm(NUM_TRAIN, generator=generator)[:num_items]
    return u, labels, indices


def hot(labels):
    return functional.one_hot(labels, NUM_CLASSES)


@pytest.mark.parametrize("skip_unfilled", [True, False])
@pytest.mark.parametrize("kind", [DPSHLoss, HashNetLoss])
@pytest.mark.parametrize("forms", ["ii", "ih", "hi", "hh"])
def test_every_order_of_label_forms_means_the_same(kind, forms, skip_unfilled):
    """One step, another, and a look in evaluation mode, with ids (i) or one-hot labels (h) of the same classes."""
    values = []
    for chosen in (forms, "ii"):
        loss = kind(BITS, NUM_CLASSES, num_train=NUM_TRAIN, skip_unfilled=skip_unfilled)
        for seed, form in enumerate(chosen):
            u, labels, indices = batch(seed)
            values.append(loss(u, hot(labels) if form == "h" else labels, indices=indices).item())
        loss.eval()
        u, labels, _ = batch(9)
        values += [loss(u, labels).item(), loss(u, hot(labels)).item()]
    assert values[:4] == pytest.approx(values[4:], rel=1e-12)


@pytest.mark.parametrize("weighting", ["balanced", "positive"])
def test_the_overlap_with_a_bank_of_several_classes_does_not_depend_on_the_form(weighting, monkeypatch):
    """A class id against rows of several classes is a one-hot row against them, in evaluation and in training."""
    u, _, indices = batch(0)
    several = hot(torch.arange(60, 68)) + hot(torch.arange(61, 69))
    ids = torch.arange(61, 69)
    values = []
    for fused in (True, False):
        monkeypatch.setattr(HashNetLoss, "_pairs_can_be_fused", lambda self, batch, fused=fused: fused)
        for form in (ids, hot(ids)):
            loss = HashNetLoss(BITS, NUM_CLASSES, num_train=NUM_TRAIN, weighting=weighting).double()
            loss(u, several, indices=indices)
            loss.eval()
            looked = loss(u.flip(1), form).item()
            loss.train()
            values.append((looked, loss(u.flip(1), form, indices=indices.flip(0) // 2).item()))
    plain = HashNetLoss(BITS, NUM_CLASSES, weighting=weighting).eval()
    expected = plain(u.flip(1), ids, ref_emb=u, ref_labels=several).item()
    for looked, trained in values:
        assert looked == pytest.approx(expected, rel=1e-12)
        assert trained == pytest.approx(values[0][1], rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.uint32, torch.uint64])
def test_indices_of_any_unsigned_dtype(dtype):
    values = []
    for kind in (torch.int64, dtype):
        loss = DPSHLoss(BITS, NUM_CLASSES, num_train=NUM_TRAIN)
        for seed in (0, 1):
            u, labels, indices = batch(seed)
            value = loss(u, labels.to(kind), indices=indices.to(kind))
        values.append(value.item())
    assert values[0] == values[1]
    with pytest.raises(ValueError, match=r"indices must be in 0\.\.19 for a bank of num_train=20 items, got 20"):
        loss(u, labels, indices=torch.full((8,), 20).to(dtype))


def test_an_index_beyond_int64_is_named():
    u, labels, _ = batch(0)
    indices = torch.tensor([-1] + [0] * 7).view(torch.uint64)
    with pytest.raises(ValueError, match=f"got {2**64 - 1}"):
        DPSHLoss(BITS, NUM_CLASSES, num_train=NUM_TRAIN)(u, labels, indices=indices)


def test_rows_not_written_have_no_class():
    """They count as zeros that are irrelevant to all, also to the items of class 0."""
    u, indices = torch.ones(2, BITS).double(), torch.tensor([3, 5])
    for labels in (torch.zeros(2, dtype=torch.int64), hot(torch.zeros(2, dtype=torch.int64))):
        loss = DPSHLoss(BITS, NUM_CLASSES, num_train=4096, skip_unfilled=False, quantization_weight=0).double()
        loss(u, labels, indices=indices)
        expected = (2 * functional.softplus(torch.tensor(-6.0).double()) + 2 * 4094 * torch.tensor(2.0).log()) / (
            2 * 4095
        )
        assert loss.last_terms["likelihood"].item() == pytest.approx(expected.item())


def test_many_classes_take_no_more_room_than_few():
    sizes = [DPSHLoss(BITS, classes, num_train=1000).bank.classes.nbytes for classes in (10, 100_000)]
    assert sizes[0] == sizes[1] == 8000


def test_an_evaluation_leaves_the_form_alone():
    loss = DPSHLoss(BITS, NUM_CLASSES, num_train=NUM_TRAIN)
    u, labels, indices = batch(0)
    loss(u, labels, indices=indices)
    loss.eval()
    loss(u, hot(labels))
    assert loss.bank.classes.shape == (NUM_TRAIN,)


@pytest.mark.parametrize("first", ["ids", "hot"])
@pytest.mark.parametrize("second", ["ids", "hot"])
@pytest.mark.parametrize("assign", [True, False])
def test_either_form_is_loaded_into_either(first, second, assign):
    losses = [DPSHLoss(BITS, NUM_CLASSES, num_train=NUM_TRAIN).double() for _ in range(2)]
    for loss, form, seed in zip(losses, (first, second), (0, 1), strict=True):
        u, labels, indices = batch(seed)
        loss(u, hot(labels) if form == "hot" else labels, indices=indices)
    losses[1].load_state_dict(losses[0].state_dict(), assign=assign)
    u, labels, indices = batch(2)
    for given in (labels, hot(labels)):
        values = [loss(u, given, indices=indices).item() for loss in losses]
        assert values[0] == values[1]


def test_a_bank_of_another_size_is_not_loaded():
    small, large = DPSHLoss(BITS, 70, num_train=9), DPSHLoss(BITS, 70, num_train=10)
    u, labels, _ = batch(0)
    small(u, hot(labels), indices=torch.arange(8))
    large(u, labels, indices=torch.arange(8))
    large.eval()
    before, classes = large(u, labels), large.bank.classes.clone()
    with pytest.raises(RuntimeError, match=r"size mismatch for bank.classes"):
        large.load_state_dict(small.state_dict())
    assert torch.equal(large.bank.classes, classes)
    assert torch.equal(large(u, labels), before)


def test_multi_hot_labels_under_inference_mode_leave_a_bank_that_can_be_trained():
    loss = DTSHLoss(BITS, NUM_CLASSES, num_train=NUM_TRAIN).double()
    u, labels, indices = batch(0)
    with torch.inference_mode():
        loss(u, hot(labels), indices=indices)
    u, labels, indices = batch(1)
    u = u.clone().requires_grad_()
    loss(u, labels, indices=indices).backward()
    loss.load_state_dict(loss.state_dict())
    assert bool(u.grad.abs().sum() > 0)
