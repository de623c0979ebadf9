from __future__ import annotations

import math

import pytest
import torch

from hashkernels import HashkernelsWarning
from hashkernels.losses import ECMLoss

# (classes, bits, alpha): tables 1, 2 and 3 of the paper
PUBLISHED_MARGINS = [
    (10, 12, -6), (10, 16, -6), (10, 24, -14), (10, 32, -18), (10, 48, -34),
    (100, 16, 2), (100, 32, -6), (100, 48, -18), (100, 64, -30),
]  # fmt: skip


def pair_formula(theta, relevant, alpha, divisor, counted):
    bits = 12
    positive = (relevant & counted).double()
    negative = (~relevant & counted).double()
    short = torch.minimum(theta - bits, torch.zeros_like(theta)) ** 2 / bits**2
    excess = torch.maximum(theta - alpha, torch.zeros_like(theta)) ** 2 / divisor**2
    return (short * positive).sum() / positive.sum() + (excess * negative).sum() / negative.sum()


def quantization_formula(u):
    return ((torch.where(u > 0, 1.0, -1.0) - u) ** 2).sum()


@pytest.mark.parametrize(("num_classes", "bits", "alpha"), PUBLISHED_MARGINS)
def test_margin_is_the_published_one(num_classes, bits, alpha):
    assert ECMLoss(bits, num_classes).alpha == alpha


@pytest.mark.parametrize(
    ("margin", "alpha"), [("hamming", -16.0), ("plotkin", 32 - 2 * 32 * 25 / 45), ("gv", 32 - 2 * 12), (-7.5, -7.5)]
)
def test_named_margins(margin, alpha):
    assert ECMLoss(32, 10, margin=margin).alpha == pytest.approx(alpha, abs=1e-12)


@pytest.mark.parametrize(
    ("options", "divisor"),
    [
        ({"margin": -0.5}, 0.5),
        ({"margin": -0.5, "normalizer": "alpha_clamped"}, 1.0),
        ({"margin": -0.5, "normalizer": "bits"}, 12.0),
        ({"margin": -3.0, "normalizer": "alpha_clamped"}, 3.0),
    ],
)
def test_equals_formula(assert_same, example, options, divisor):
    loss = ECMLoss(12, 5, **options)
    theta = example.u @ example.u.T
    counted = ~torch.eye(len(theta), dtype=torch.bool)
    expected = pair_formula(theta, example.relevant, options["margin"], divisor, counted)
    expected = expected + 0.002 * quantization_formula(example.u)
    assert_same(loss(example.u, example.labels), expected, example.u)


def test_reference_equals_formula(assert_same, reference_example):
    batch, ref, ref_labels, relevant = reference_example
    loss = ECMLoss(12, 5, margin=-2.0)
    expected = pair_formula(batch.u @ ref.T, relevant, -2.0, 2.0, torch.ones_like(relevant))
    expected = expected + 0.002 * quantization_formula(batch.u)
    assert_same(loss(batch.u, batch.labels, ref_emb=ref, ref_labels=ref_labels), expected, batch.u, ref)


def test_worked_by_hand():
    u = torch.tensor([[1.0, 1.0], [1.0, 0.0], [-1.0, -1.0]], dtype=torch.float64)
    loss = ECMLoss(2, 2, margin=-1.0, quantization_weight=0.5)
    # theta: 1 for the relevant pair; -2 and -1 for the others, both at or below alpha; sgn(0) = -1
    value = loss(u, torch.tensor([0, 0, 1]))
    assert value.item() == pytest.approx((1 - 2) ** 2 / 4 + 0.5 * 1.0)
    assert {name: term.item() for name, term in loss.last_terms.items()} == pytest.approx(
        {"positive": 0.25, "negative": 0.0, "quantization": 0.5}
    )


def test_quantization_sums_over_the_batch():
    loss = ECMLoss(12, 5, quantization_weight=1.0)
    u = torch.full((3, 12), 0.5)
    loss(u, torch.tensor([0, 1, 2]))
    assert loss.last_terms["quantization"].item() == pytest.approx(3 * 12 * 0.25)


def test_gradcheck(example):
    u = example.u.detach()[:4].clone().requires_grad_()
    loss = ECMLoss(12, 5, margin=-2.0)
    assert torch.autograd.gradcheck(lambda x: loss(x, example.labels[:4]), (u,))


@pytest.mark.parametrize("positives", ["center", "images"])
@pytest.mark.parametrize("binary", [True, False])
def test_classwise_equals_formula(assert_same, example, positives, binary):
    start = torch.tensor([[1, -1] * 6, [-1, -1] * 6, [1, 1] * 6, [-1, 1] * 6, [1, -1, -1] * 4])
    loss = ECMLoss(
        12, 5, margin=-2.0, classwise=True, centers=start, binarize_centers=binary, positives=positives, center_rate=0.3
    ).double()
    hot = example.labels if example.labels.ndim == 2 else torch.nn.functional.one_hot(example.labels, 5)
    theta = example.u @ start.double().T
    short = torch.clamp(theta - 12, max=0) ** 2 / 144
    excess = torch.clamp(theta + 2, min=0) ** 2 / 4
    if positives == "center":
        positive = (short * hot).sum() / hot.sum()
    else:
        pairs = example.u @ example.u.T
        mask = example.relevant & ~torch.eye(9, dtype=torch.bool)
        positive = ((pairs - 12).clamp(max=0) ** 2 / 144 * mask).sum() / mask.sum()
    negative = (excess * (1 - hot)).sum() / (1 - hot).sum()
    expected = positive + negative + 0.002 * quantization_formula(example.u)
    assert_same(loss(example.u, example.labels), expected, example.u)


@pytest.mark.parametrize("update", ["center_loss", "ema", "majority"])
def test_center_updates(example, update):
    torch.manual_seed(0)
    loss = ECMLoss(12, 5, classwise=True, centers=torch.ones(5, 12), center_update=update, center_rate=0.3).double()
    loss(example.u, example.labels)
    hot = example.labels if example.labels.ndim == 2 else torch.nn.functional.one_hot(example.labels, 5)
    for m in range(5):
        items = example.u.detach()[hot[:, m] == 1]
        center = torch.ones(12, dtype=torch.float64)
        if update == "center_loss":
            center = center + 0.3 * (items - center).sum(0) / (1 + len(items))
        elif len(items) and update == "ema":
            center = 0.7 * center + 0.3 * items.mean(0)
        elif len(items):
            votes = torch.where(items > 0, 1.0, -1.0).sum(0)
            center = torch.where(votes == 0, center, votes.sign())
        torch.testing.assert_close(loss.centers.values[m], center, rtol=1e-12, atol=1e-12)


def test_majority_counts_all_batches_until_reset():
    loss = ECMLoss(2, 3, margin=-1.0, classwise=True, center_update="majority")
    label = torch.tensor([0])
    for code in ([1.0, 1.0], [1.0, -1.0], [1.0, -1.0]):
        loss(torch.tensor([code]), label)
    assert loss.centers.values[0].tolist() == [1, -1]
    loss.reset_votes()
    loss(torch.tensor([[-1.0, 1.0]]), label)
    assert loss.centers.values[0].tolist() == [-1, 1]
    with pytest.raises(ValueError, match="reset_votes"):
        ECMLoss(2, 3, margin=-1.0).reset_votes()


def test_centers_begin_with_the_first_mean_and_unknown_classes_are_left_out():
    u = torch.tensor([[1.0, 3.0], [3.0, 1.0], [-1.0, -1.0]], dtype=torch.float64, requires_grad=True)
    loss = ECMLoss(2, 4, margin=-1.0, classwise=True, binarize_centers=False, quantization_weight=0).double()
    value = loss(u, torch.tensor([0, 0, 2]))
    assert loss.centers.known.tolist() == [True, False, True, False]
    assert loss.centers.values.tolist() == [[2, 2], [0, 0], [-1, -1], [0, 0]]
    # own centers: theta 8, 8, 2, none below 2; the other known center: -4, -4, -4, none above alpha
    assert value.item() == 0
    assert torch.autograd.grad(value, u)[0].abs().max() == 0


def test_centers_stand_still_in_evaluation(example):
    loss = ECMLoss(12, 5, classwise=True, centers=torch.ones(5, 12)).eval()
    before = loss.state_dict()["centers.values"].clone()
    loss(example.u.float(), example.labels)
    assert torch.equal(loss.centers.values, before)


def test_centers_survive_a_state_dict(example):
    options = {"margin": -2.0, "classwise": True, "center_update": "majority"}
    first, second = ECMLoss(12, 5, **options).double(), ECMLoss(12, 5, **options).double()
    first(example.u, example.labels)
    second.load_state_dict(first.state_dict())
    again = (example.u.flip(0).detach(), example.labels)
    assert first(*again).item() == second(*again).item()
    assert torch.equal(first.centers.votes, second.centers.votes)


def test_two_steps_before_one_backward(example):
    loss = ECMLoss(12, 5, margin=-2.0, classwise=True, binarize_centers=False).double()
    total = loss(example.u, example.labels) + loss(example.u, example.labels)
    total.backward()
    assert torch.isfinite(example.u.grad).all()


@pytest.mark.parametrize(("bits", "num_classes"), [(10, 21), (14, 100), (30, 1000)])
def test_zero_alpha_is_refused_with_the_way_out(bits, num_classes):
    with pytest.raises(ValueError, match=r'normalizer must be "alpha_clamped" or "bits"'):
        ECMLoss(bits, num_classes)
    loss = ECMLoss(bits, num_classes, normalizer="alpha_clamped")
    assert loss.alpha == 0
    assert math.isfinite(loss(torch.ones(2, bits), torch.tensor([0, 1])).item())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"margin": "singleton"}, "margin must be one of ecm, hamming, plotkin, tightest, gv, got 'singleton'"),
        ({"margin": 13.0}, "margin must be in -12..12, got 13"),
        ({"margin": math.nan}, "margin must be finite"),
        ({"normalizer": "l2"}, "normalizer must be one of"),
        ({"quantization_weight": -1.0}, "quantization_weight must be at least 0, got -1"),
        ({"classwise": True, "center_update": "mean"}, "center_update must be one of"),
        ({"classwise": True, "center_rate": 2.0}, "center_rate must be in 0..1, got 2"),
        ({"classwise": True, "centers": "zeros"}, "centers must be one of batch_mean, got 'zeros'"),
        ({"classwise": True, "centers": torch.ones(4, 12)}, r"centers must have shape \[num_classes=5, bits=12\]"),
        ({"classwise": True, "centers": torch.zeros(5, 12)}, r"centers must hold only -1 and \+1"),
        ({"classwise": True, "positives": "both"}, "positives must be one of"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        ECMLoss(12, 5, **options)


def test_compiles_without_a_break(assert_same, example):
    loss = ECMLoss(12, 5, margin=-2.0)
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    expected = loss(example.u, example.labels)
    assert_same(compiled(example.u, example.labels), expected, example.u)


def test_class_centers_take_no_references():
    loss = ECMLoss(12, 5, classwise=True)
    u, labels = torch.zeros(3, 12), torch.arange(3)
    with pytest.raises(ValueError, match='ref_emb must be None with classwise=True and positives="center"'):
        loss(u, labels, ref_emb=torch.zeros(4, 12), ref_labels=torch.arange(4))
    assert not loss.centers.known.any()


def test_an_alpha_that_drowns_relevant_pairs_is_warned_of_where_the_loss_is_made():
    with pytest.warns(HashkernelsWarning, match=r"alpha is -0\.323, .* bits=32 and num_classes=100: ") as told:
        ECMLoss(32, num_classes=100, margin="plotkin")  # -32 / 99
    assert [warning.filename for warning in told] == [__file__]
    for normalizer in ("bits", "alpha_clamped"):
        ECMLoss(32, num_classes=100, margin="plotkin", normalizer=normalizer)
    ECMLoss(32, num_classes=100, margin=-0.3)  # asked for
    ECMLoss(32, num_classes=32, margin="plotkin")  # alpha is -32 / 31
