"""What every loss keeps to in a training step on a GPU: the host waits for nothing, no tensor lies elsewhere, and no
sum is one of atomic additions, whose order differs from run to run. Tensors of torch's meta device, which have no
values and meet no others, play those of the GPU."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from hashkernels import losses
from hashkernels.centers import random_centers
from hashkernels.losses._pairwise import PairwiseLoss
from hashkernels.surrogate import SurrogateLoss

BITS, NUM_CLASSES, NUM_TRAIN, NUM_ITEMS = 12, 5, 30, 8
PAIRS = ["DBDHLoss", "DCHLoss", "DHNLoss", "DPSHLoss", "DSHLoss", "HashNetLoss"]
REFERENCES = [*PAIRS, "DTSHLoss", "ECMLoss", "MIHashLoss", "TALRLoss"]
BANK = {"num_train": NUM_TRAIN}
CASES = {name: (name, {}) for name in sorted({*losses.__all__} - {"DistributedLoss", "DSDHLoss", "HashLoss"})}
CASES |= {
    "DBDHLoss/sign": ("DBDHLoss", {"codes": "sign"}),
    "DCHLoss/authors": ("DCHLoss", losses.DCHLoss.preset("authors", BITS)),
    "DPNLoss/update": ("DPNLoss", {"update_every": NUM_ITEMS}),
    "DPNLoss/majority": ("DPNLoss", {"update_every": 0, "multi_label": "majority"}),
    "DPSHLoss/self_pairs": ("DPSHLoss", {"self_pairs": True}),
    "DTSHLoss/anchors": ("DTSHLoss", {"reduction": "anchors"}),
    "DTSHLoss/sum": ("DTSHLoss", {"reduction": "sum"}),
    "ECMLoss/images": ("ECMLoss", {"classwise": True, "positives": "images"}),
    "HashNetLoss/positive": ("HashNetLoss", {"weighting": "positive", "positive_weight": 3.0}),
    "OrthoHashLoss/angular": ("OrthoHashLoss", {"angular": True}),
    "TALRLoss/ndcg": ("TALRLoss", {"criterion": "ndcg"}),
}
CASES |= {f"ECMLoss/{rule}": ("ECMLoss", {"classwise": True, "center_update": rule}) for rule in ("ema", "majority")}
CASES |= {f"{name}/bank": (name, BANK) for name in (*PAIRS, "DSDHLoss")}
CASES |= {f"{name}/zeros": (name, {**BANK, "skip_unfilled": False}) for name in (*PAIRS, "DSDHLoss")}
BY_TORCH = {case: of for case, of in CASES.items() if of[0] in (*PAIRS, "DSDHLoss")}
SURROGATES = [{}, {"multi_label": "sign"}, {"target_dropout": False}, {"update": "alternating"}]


@pytest.fixture(autouse=True)
def _as_on_a_gpu(monkeypatch):
    monkeypatch.setattr(Tensor, "is_cuda", property(lambda self: self.is_meta))
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    for module in ("losses._histogram", "surrogate.posterior"):
        monkeypatch.setattr(f"hashkernels.{module}.adds_in_any_order", lambda device: True)


class AnyOrder(TorchDispatchMode):
    """Notes sums of atomic additions of floats."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.name().removeprefix("aten::").partition(".")[0].removesuffix("_")
        if name in ("index_add", "index_reduce", "scatter_add", "scatter_reduce") and args[0].is_floating_point():
            self.found.append(func.name())
        return func(*args, **(kwargs or {}))


def make(name, options):
    return getattr(losses, name)(BITS, NUM_CLASSES, **options)


def items(form, count=NUM_ITEMS):
    u = torch.randn(count, BITS, device="meta", requires_grad=True)
    if form == "ids":
        return u, torch.randint(NUM_CLASSES, (count,), device="meta")
    return u, torch.rand(count, NUM_CLASSES, device="meta") < 0.4


def train(loss, form, waits, **references):
    """Two steps, the second of which finds a bank half written."""
    loss.to("meta")
    any_order = AnyOrder()
    for _ in range(2):
        u, labels = items(form)
        indices = torch.randperm(NUM_TRAIN, device="meta")[:NUM_ITEMS]
        with waits, any_order:
            loss(u, labels, indices=indices, **references).backward()
    grads = [weight.grad for weight in loss.parameters() if weight.grad is not None]
    left = [u.grad, *grads, *loss.last_terms.values(), *loss.buffers()]
    assert {tensor.device.type for tensor in left} == {"meta"}
    assert any_order.found == []


@pytest.mark.parametrize("form", ["ids", "multi-hot"])
@pytest.mark.parametrize("case", CASES)
def test_training(case, form, waits):
    train(make(*CASES[case]), form, waits)
    assert waits.found == []


@pytest.mark.parametrize("form", ["ids", "multi-hot"])
@pytest.mark.parametrize("case", BY_TORCH)
def test_training_where_no_op_has_the_pairs(case, form, waits, monkeypatch):
    monkeypatch.setattr(PairwiseLoss, "_pairs_can_be_fused", lambda self, batch: False)
    train(make(*BY_TORCH[case]), form, waits)
    assert waits.found == []


@pytest.mark.parametrize("ref_form", ["ids", "multi-hot"])
@pytest.mark.parametrize("form", ["ids", "multi-hot"])
@pytest.mark.parametrize("name", REFERENCES)
def test_references(name, form, ref_form, waits):
    ref, ref_labels = items(ref_form, count=11)
    train(make(name, {}), form, waits, ref_emb=ref, ref_labels=ref_labels)
    assert waits.found == []


@pytest.mark.parametrize("form", ["ids", "multi-hot"])
@pytest.mark.parametrize("options", SURROGATES)
def test_a_surrogate_posterior(options, form, waits):
    base = make("DPSHLoss", BANK)
    train(SurrogateLoss(base, random_centers(NUM_CLASSES, BITS), **options), form, waits)
    assert waits.found == []


@pytest.mark.parametrize("num_train", [NUM_TRAIN, 300])  # fewer than are drawn of each class, and more
def test_triplets_with_items_of_a_bank(num_train, waits):
    train(make("DTSHLoss", {"num_train": num_train, "drawn": 20}), "ids", waits)
    assert waits.found == []


def test_what_may_wait(waits):
    """Learning codes, once in an epoch."""
    with pytest.raises(NotImplementedError, match="nonzero"):
        train(make("DSDHLoss", {**BANK, "update_every": NUM_ITEMS}), "ids", waits)
    assert "aten::nonzero" in waits.found
