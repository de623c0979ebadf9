"""What holds for every loss."""

from __future__ import annotations

import copy
import inspect
import math
import re

import pytest
import torch
from torch._dynamo.testing import CompileCounter
from torch.autograd import forward_ad

from hashkernels import losses

BITS, NUM_CLASSES = 12, 5
ALL = sorted(set(losses.__all__) - {"DistributedLoss", "HashLoss"})
BANKS = ["DBDHLoss", "DCHLoss", "DHNLoss", "DPSHLoss", "DSDHLoss", "DSHLoss", "DTSHLoss", "HashNetLoss"]
REFERENCES = ["DBDHLoss", "DCHLoss", "DHNLoss", "DPSHLoss", "DSHLoss", "DTSHLoss", "ECMLoss", "HashNetLoss"]
REFERENCES += ["MIHashLoss", "TALRLoss"]
VARIANTS = {"ECMLoss/classwise": ("ECMLoss", {"classwise": True}), "TALRLoss/ndcg": ("TALRLoss", {"criterion": "ndcg"})}
VARIANTS |= {f"{name}/bank": (name, {"num_train": 30}) for name in BANKS if name != "DSDHLoss"}
CASES = [*ALL, *VARIANTS]
# terms that are about pairs of items, and zero where a batch has none
PAIR_TERMS = {"likelihood", "cauchy", "contrastive", "information", "precision", "ndcg"}


def make(case, bits=BITS):
    name, options = VARIANTS.get(case, (case, {}))
    if name == "DSDHLoss":
        options = {"num_train": 30}
    torch.manual_seed(0)
    return getattr(losses, name)(bits, NUM_CLASSES, **options)


def call(loss, u, labels):
    return loss(u, labels, indices=torch.arange(len(u)) * 2)


def batch(num_items=8, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    u = torch.randn(num_items, BITS, generator=generator).to(dtype).requires_grad_()
    return u, torch.arange(num_items) % 3


@pytest.mark.parametrize("case", CASES)
def test_class_ids_and_one_hot_labels_say_the_same(case):
    u, labels = batch(dtype=torch.float64)
    hot = torch.nn.functional.one_hot(labels, NUM_CLASSES)
    values = [call(make(case).double(), u, form) for form in (labels, hot, hot.bool(), hot.float(), labels.int())]
    for value in values[1:]:
        torch.testing.assert_close(value, values[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.uint16, torch.uint32, torch.uint64])
@pytest.mark.parametrize("case", CASES)
def test_labels_of_any_unsigned_dtype(case, dtype):
    u, labels = batch(dtype=torch.float64)
    for form in (labels, torch.nn.functional.one_hot(labels, NUM_CLASSES)):
        values = []
        for given in (form, form.to(dtype)):
            loss = make(case).double()
            torch.manual_seed(1)  # of what DTSH draws
            values.append(call(loss, u, given).item())
        assert values[0] == values[1]


@pytest.mark.parametrize("case", CASES)
def test_terms_add_up_to_the_loss_and_are_detached(case):
    loss = make(case)
    u, labels = batch()
    value = call(loss, u, labels)
    assert value.shape == ()
    assert value.requires_grad
    assert not any(term.requires_grad or term.shape for term in loss.last_terms.values())
    torch.testing.assert_close(sum(loss.last_terms.values()), value.detach())


@pytest.mark.parametrize("case", CASES)
def test_precision(case):
    u, labels = batch()
    expected = call(make(case), u, labels)
    gradient = torch.autograd.grad(expected, u)[0]
    assert expected.dtype == torch.float32
    assert call(make(case).double(), u.double(), labels).dtype == torch.float64
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = call(make(case), u, labels)
    assert value.dtype == torch.float32
    assert value.item() == expected.item()
    for dtype in (torch.float16, torch.bfloat16):
        half = u.detach().to(dtype).requires_grad_()
        value = call(make(case), half, labels)
        assert value.dtype == torch.float32
        assert torch.autograd.grad(value, half)[0].dtype == dtype
    torch.testing.assert_close(call(make(case).double(), u.double(), labels).float(), expected, rtol=1e-4, atol=1e-5)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("num_items", "classes"), [(0, 1), (1, 1), (6, 1), (5, 5)])
def test_degenerate_batches(case, num_items, classes):
    """No item, one item, no irrelevant pair, no relevant pair."""
    u = batch(num_items)[0]
    loss = make(case)
    value = call(loss, u, torch.arange(num_items) % classes)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(u.grad).all()
    if num_items < 2:
        assert all(term.item() == 0 for name, term in loss.last_terms.items() if name in PAIR_TERMS)


@pytest.mark.parametrize("case", CASES)
def test_an_item_without_a_class_is_irrelevant_to_all_and_has_no_target(case):
    """It is to pairs what an item of a class of its own is; to centers and classifiers it is not there."""
    name, options = VARIANTS.get(case, (case, {}))
    u, labels = batch(7, torch.float64)
    hot = torch.nn.functional.one_hot(labels, NUM_CLASSES)
    bare, alone = hot.clone(), hot.clone()
    bare[2], alone[2] = 0, torch.tensor([0, 0, 0, 0, 1])
    loss = make(case).double()
    value = call(loss, u, bare)
    gradient = torch.autograd.grad(value, u)[0]
    assert torch.isfinite(gradient).all()
    if name in REFERENCES + BANKS and not options.get("classwise"):
        torch.testing.assert_close(value, call(make(case).double(), u, alone), rtol=1e-12, atol=1e-12)
    elif not options.get("classwise"):
        term = {"CSQLoss": "center", "DPNLoss": "polarization"}.get(name, "classification")
        kept = [0, 1, 3, 4, 5, 6]
        others = make(case).double()
        call(others, u[kept], hot[kept])
        torch.testing.assert_close(loss.last_terms[term], others.last_terms[term] * 6 / 7, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ALL)
def test_presets_are_options_of_the_loss(name):
    loss = getattr(losses, name)
    needs = {"num_train": 30} if name == "DSDHLoss" else {}
    for preset, options in loss.presets.items():
        made = loss(48, NUM_CLASSES, **loss.preset(preset, 48), **needs)
        for option, value in options.items():
            assert getattr(made, option) == (value(48) if callable(value) else value)
    message = "preset must be one of" if loss.presets else f"preset must be None for {name}, which has no presets"
    with pytest.raises(ValueError, match=message):
        loss.preset("mnist", 48)


@pytest.mark.parametrize("case", CASES)
def test_inputs_are_left_alone(case):
    u, labels = batch()
    hot = torch.nn.functional.one_hot(labels, NUM_CLASSES)
    before = u.detach().clone(), hot.clone()
    call(make(case), u, hot).backward()
    assert torch.equal(u.detach(), before[0])
    assert torch.equal(hot, before[1])


@pytest.mark.parametrize("case", CASES)
def test_rows_in_any_memory_order(case):
    u, labels = batch(dtype=torch.float64)
    columns = u.detach().t().contiguous().t()
    assert not columns.is_contiguous()
    expected, value = call(make(case).double(), u, labels), call(make(case).double(), columns, labels)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_state_goes_on_after_loading(case):
    first, second = make(case), make(case)
    u, labels = batch()
    call(first, u, labels)
    second.load_state_dict(first.state_dict())
    again = u.detach().flip(0)
    assert call(copy.deepcopy(first), again, labels).item() == call(second, again, labels).item()


@pytest.mark.parametrize("case", CASES)
def test_repr_names_the_settings(case):
    loss = make(case)
    text = repr(loss)
    assert text.startswith(type(loss).__name__ + "(")
    shown = {"center_update": "update", "center_rate": "rate"}  # in the line of the centers
    for option in set(inspect.signature(type(loss)).parameters) - {"centers"}:
        if option in ("num_train", *shown) and not list(loss.children()):
            continue
        assert f"{shown.get(option, option)}=" in text


@pytest.mark.parametrize("case", ALL)
def test_bad_batches(case):
    loss = make(case)
    u, labels = batch(3)
    nan = u.detach().clone()
    nan[1, 2] = torch.nan
    bad = [
        (ValueError, "u must be finite, got nan", nan, labels),
        (ValueError, r"u must have shape \[N, 12\], got \(3, 11\)", u[:, :11], labels),
        (ValueError, "u must have 2 dimensions", u[0], labels),
        (TypeError, "u must be floating point of 16 bits or more, got int64", u.long(), labels),
        (TypeError, "u must be .* of 16 bits or more, got float8_e5m2", u.to(torch.float8_e5m2), labels),
        (TypeError, "u must be a torch.Tensor, got list", u.tolist(), labels),
        (ValueError, "labels must have one row for each of 3 items, got 2", u, labels[:2]),
        (ValueError, r"labels must be in 0\.\.4, got 5", u, torch.tensor([0, 5, 1])),
        (ValueError, r"labels must be in 0\.\.4, got -1", u, torch.tensor([0, -1, 1])),
        (ValueError, "labels given as multi-hot must have 5 columns, got 4", u, torch.ones(3, 4)),
        (ValueError, "labels given as multi-hot must hold only 0 and 1", u, torch.full((3, 5), 2)),
        (TypeError, "labels given as class ids must be integers, got float32", u, labels.float()),
        (TypeError, "labels must be a torch.Tensor, got list", u, [0, 1, 2]),
    ]
    for infinite, shown in ((torch.inf, "inf"), (-torch.inf, "-inf")):
        x = u.detach().clone()
        x[2, 0] = infinite
        bad.append((ValueError, f"u must be finite, got {shown}", x, labels))
        x = x.clone()
        x[1, 1] = -infinite  # the sum of both is no number
        bad.append((ValueError, "u must be finite, got -?inf", x, labels))
    for error, message, x, y in bad:
        with pytest.raises(error, match=message):
            call(loss, x, y)


@pytest.mark.parametrize("case", ALL)
def test_a_sum_that_overflows_is_no_reason_to_refuse_finite_embeddings(case):
    u = torch.full((4, BITS), 6e4, dtype=torch.float16)
    assert u.sum().isinf()
    assert call(make(case), u, torch.arange(4)).isfinite()


@pytest.mark.parametrize("bits", [BITS, 4096])
@pytest.mark.parametrize("case", CASES)
def test_products_of_large_embeddings_stay_within_the_precision(case, bits):
    """The most that is promised of float32, in rows whose products are the greatest, and far beyond it in float64."""
    labels = batch()[1]
    u = torch.tensor([1.0, -1.0]).repeat(8, bits // 2) * torch.where(torch.arange(8) % 4 == 3, -1, 1)[:, None]
    values = []
    for scale, dtype in ((1e7, torch.float32), (1e7, torch.float64), (1e20, torch.float64)):
        x = (u.to(dtype) * scale).requires_grad_()
        torch.manual_seed(1)  # of what DTSH draws
        value = call(make(case, bits).to(dtype), x, labels)
        assert torch.isfinite(torch.autograd.grad(value, x)[0]).all()
        values.append(value.item())
    assert values[0] == pytest.approx(values[1], rel=1e-3)
    assert math.isfinite(values[2])


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("bits", "num_classes", "error", "message"),
    [
        (0, 5, ValueError, r"bits must be in 1\.\.4096, got 0"),
        (12.0, 5, TypeError, "bits must be an int, got float"),
        (12, 0, ValueError, "num_classes must be at least 1, got 0"),
        (12, "5", TypeError, "num_classes must be an int, got str"),
    ],
)
def test_bad_sizes(name, bits, num_classes, error, message):
    options = {"num_train": 30} if name == "DSDHLoss" else {}
    with pytest.raises(error, match=message):
        getattr(losses, name)(bits, num_classes, **options)


@pytest.mark.parametrize("name", BANKS)
def test_bad_indices(name):
    loss = getattr(losses, name)(BITS, NUM_CLASSES, num_train=30)
    u, labels = batch(3)
    bad = [
        (ValueError, "indices must be given: the loss keeps a bank of num_train=30 items", None),
        (ValueError, r"indices must be in 0\.\.29 for a bank of num_train=30 items, got 30", torch.tensor([0, 30, 1])),
        (ValueError, r"indices must be in 0\.\.29 for a bank of num_train=30 items, got -1", torch.tensor([0, -1, 1])),
        (ValueError, "indices must have one entry for each of 3 items, got 2", torch.tensor([0, 1])),
        (ValueError, "indices must have 1 dimension", torch.zeros(3, 1, dtype=torch.int64)),
        (TypeError, "indices must be integers, got float32", torch.zeros(3)),
        (TypeError, "indices must be a torch.Tensor, got list", [0, 1, 2]),
    ]
    for error, message, indices in bad:
        with pytest.raises(error, match=message):
            loss(u, labels, indices=indices)
    with pytest.raises(ValueError, match="ref_emb must be None for a loss that keeps a bank"):
        loss(u, labels, indices=torch.arange(3), ref_emb=u.detach(), ref_labels=labels)
    assert not bool(loss.bank.filled.any())


@pytest.mark.parametrize("name", BANKS)
def test_bank_is_only_read_in_evaluation(name):
    loss = getattr(losses, name)(BITS, NUM_CLASSES, num_train=30)
    u, labels = batch()
    call(loss, u, labels)
    before = {key: value.clone() for key, value in loss.state_dict().items()}
    assert torch.isfinite(loss.eval()(u.detach().flip(0), labels))
    assert all(torch.equal(value, before[key]) for key, value in loss.state_dict().items())


STATEFUL = [
    *((name, {"num_train": 30}) for name in BANKS),
    ("DSDHLoss", {"num_train": 30, "update_every": 8}),
    ("DPNLoss", {"update_every": 8}),
    ("DPNLoss", {"update_every": 0}),
    ("HashNetLoss", {}),
    *(("ECMLoss", {"classwise": True, "center_update": rule}) for rule in ("center_loss", "ema", "majority")),
]


@pytest.mark.parametrize(("name", "options"), STATEFUL)
@pytest.mark.parametrize("without_gradient", [torch.no_grad, torch.inference_mode])
def test_training_mode_alone_decides_whether_state_is_renewed(name, options, without_gradient):
    """Like BatchNorm: a call without gradients renews what a call with them does, in evaluation mode none does."""
    u, labels = batch()
    start = getattr(losses, name)(BITS, NUM_CLASSES, **options)
    learning, looking = copy.deepcopy(start), copy.deepcopy(start)
    torch.manual_seed(1)  # of what DTSH draws
    expected = call(learning, u, labels)
    with without_gradient():
        torch.manual_seed(1)
        assert call(looking, u, labels).item() == expected.item()
    renewed = learning.state_dict()
    assert any(not torch.equal(value, renewed[key]) for key, value in start.state_dict().items())
    for turn in ("training", "evaluation"):
        assert all(torch.equal(value, renewed[key]) for key, value in looking.state_dict().items()), turn
        with without_gradient():
            call(looking.eval(), u.flip(0), labels)
    looking.train().load_state_dict(start.state_dict())
    assert call(looking, u, labels).requires_grad


@pytest.mark.parametrize("name", BANKS)
def test_two_steps_before_one_backward(name):
    loss = getattr(losses, name)(BITS, NUM_CLASSES, num_train=30)
    u, labels = batch()
    (call(loss, u, labels) + call(loss, u, labels)).backward()
    assert torch.isfinite(u.grad).all()


@pytest.mark.parametrize("name", REFERENCES)
def test_bad_references(name):
    loss = getattr(losses, name)(BITS, NUM_CLASSES)
    u, labels = batch(3)
    ref, ref_labels = batch(4)
    bad = [
        ("ref_emb and ref_labels must be given together", {"ref_emb": ref}),
        ("ref_emb and ref_labels must be given together", {"ref_labels": ref_labels}),
        (r"ref_emb must have shape \[N, 12\]", {"ref_emb": ref[:, :3], "ref_labels": ref_labels}),
        ("ref_labels must have one row for each of 4 items", {"ref_emb": ref, "ref_labels": labels}),
        ("ref_emb must be finite, got nan", {"ref_emb": torch.full((3, 12), torch.nan), "ref_labels": labels}),
    ]
    for message, references in bad:
        with pytest.raises(ValueError, match=message):
            loss(u, labels, **references)


@pytest.mark.parametrize("name", REFERENCES)
def test_mixed_label_forms_and_no_references(name):
    loss = getattr(losses, name)(BITS, NUM_CLASSES)
    u, labels = batch()
    ref, ref_labels = batch(4)
    hot = torch.nn.functional.one_hot(ref_labels, NUM_CLASSES)
    expected = loss.eval()(u, labels, ref_emb=ref, ref_labels=ref_labels)
    torch.testing.assert_close(loss(u, labels, ref_emb=ref, ref_labels=hot), expected)
    value = loss(u, labels, ref_emb=ref[:0], ref_labels=ref_labels[:0])
    value.backward()
    assert torch.isfinite(value)


@pytest.mark.parametrize("case", sorted(set(CASES) - {"DSDHLoss", "DTSHLoss", "DTSHLoss/bank"}))  # these look at values
@pytest.mark.parametrize("multi_label", [False, True])
def test_everything_is_computed_on_the_device_of_the_embeddings(case, multi_label):
    loss = make(case).to("meta")
    u = torch.randn(4, BITS, device="meta", requires_grad=True)
    labels = (
        torch.zeros(4, NUM_CLASSES, device="meta") if multi_label else torch.zeros(4, dtype=torch.int64, device="meta")
    )
    value = loss(u, labels, indices=torch.zeros(4, dtype=torch.int64, device="meta"))
    assert value.device.type == "meta"


def test_labels_on_another_device_are_named():
    u, labels = batch(3)
    with pytest.raises(ValueError, match="labels must be on cpu like u, got meta"):
        losses.ECMLoss(BITS, NUM_CLASSES)(u, labels.to("meta"))


def test_every_loss_is_exported():
    modules = {name for name in dir(losses) if name.endswith("Loss")}
    assert modules == set(losses.__all__)


@pytest.mark.parametrize("case", CASES)
def test_second_derivatives_are_right_or_an_error(case):
    u, labels = batch(dtype=torch.float64)
    loss = make(case).double().eval()
    direction = torch.randn(u.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)

    def gradient(x, create_graph=False):
        return torch.autograd.grad(call(loss, x, labels), x, create_graph=create_graph)[0]

    try:
        (found,) = torch.autograd.grad((gradient(u, create_graph=True) * direction).sum(), u)
    except RuntimeError as error:
        if not re.search("first derivatives only", str(error)):
            raise
        return
    after, before = (gradient((u + sign * 1e-6 * direction).detach().requires_grad_()) for sign in (1, -1))
    torch.testing.assert_close(found, (after - before) / 2e-6, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("with_gradient", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_forward_mode_is_right_or_an_error(case, with_gradient):
    u, labels = batch(dtype=torch.float64)
    loss = make(case).double().eval()
    direction = torch.randn(u.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    gradient = torch.autograd.grad(call(loss, u, labels), u)[0]
    point = u if with_gradient else u.detach()
    for transform in (
        lambda f: torch.func.jvp(f, (point,), (direction,))[1],
        lambda f: (torch.func.jacfwd(f, randomness="same")(point) * direction).sum(),
        lambda f: tangent(f, point, direction),
    ):
        try:
            found = transform(lambda x: call(loss, x, labels))
        except RuntimeError as error:
            assert "reverse mode only" in str(error)  # noqa: PT017  # an error is one of two right answers
            continue
        torch.testing.assert_close(found, (gradient * direction).sum())


@pytest.mark.parametrize("case", CASES)
def test_batched_gradients_are_single_ones(case):
    u, labels = batch(dtype=torch.float64)
    loss = make(case).double().eval()
    value = call(loss, u, labels)
    factors = torch.tensor([1.0, -0.5, 3.0], dtype=torch.float64)
    (found,) = torch.autograd.grad(value, u, factors, is_grads_batched=True, retain_graph=True)
    single = [torch.autograd.grad(value, u, factor, retain_graph=True)[0] for factor in factors]
    torch.testing.assert_close(found, torch.stack(single))


def tangent(f, point, direction):
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(f(forward_ad.make_dual(point, direction))).tangent


@pytest.mark.parametrize("name", REFERENCES)
def test_forward_mode_through_references_is_an_error(name):
    u, labels = batch()
    loss = make(name)
    with pytest.raises(RuntimeError, match="reverse mode only"):
        tangent(
            lambda ref: loss(u.detach(), labels, ref_emb=ref, ref_labels=labels), u.detach() + 1, torch.ones(u.shape)
        )


@pytest.mark.parametrize("case", CASES)
def test_the_backward_pass_may_run_under_autocast(case):
    u, labels = batch()
    (expected,) = torch.autograd.grad(call(make(case), u, labels), u)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (found,) = torch.autograd.grad(call(make(case), u, labels), u)
    # Products that torch derives by itself round to bfloat16 there.
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0.02 * float(expected.abs().max()))


@pytest.mark.parametrize("name", ["CSQLoss", "DPNLoss", "GreedyHashLoss", "OrthoHashLoss"])
def test_one_compiled_graph_serves_every_batch_size(name, request):
    torch._dynamo.reset()  # all losses share the code of one forward, and so the number of its graphs
    request.addfinalizer(torch._dynamo.reset)
    counter = CompileCounter()
    compiled = torch.compile(make(name), fullgraph=True, dynamic=True, backend=counter)
    for num_items in range(3, 9):
        u, labels = batch(num_items)
        torch.testing.assert_close(compiled(u, labels), make(name)(u, labels))
    assert counter.frame_count == 1


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("HashNetLoss", {"gamma": 3.0, "interval": 1}),
        ("DSDHLoss", {"num_train": 8}),
        ("DTSHLoss", {"num_train": 16, "drawn": 2}),
    ],
)
def test_compiled_steps_learn_what_eager_ones_do(name, options, request):
    """The backward pass of a compiled graph recomputes from what was read, also where the step has renewed it since."""
    torch._dynamo.reset()
    request.addfinalizer(torch._dynamo.reset)
    eager, traced = (getattr(losses, name)(BITS, NUM_CLASSES, **options) for _ in range(2))
    compiled = torch.compile(traced, backend="inductor")
    u, labels = batch()
    for step in range(3):
        indices = (torch.arange(len(u)) + len(u) * step) % options.get("num_train", len(u))
        values = []
        for loss in (eager, compiled):
            torch.manual_seed(step)  # of what DTSH draws
            value = loss(u, labels, indices=indices)
            values.append((value.detach(), torch.autograd.grad(value, u)[0]))
        torch.testing.assert_close(values[1], values[0])
    for found, expected in zip(traced.buffers(), eager.buffers(), strict=True):
        torch.testing.assert_close(found, expected)
