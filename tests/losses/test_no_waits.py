"""No loss lets the host wait for a GPU in a training step; tensors of the CPU play those of the GPU."""

from __future__ import annotations

import sys

import pytest
import torch

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
    for name, module in [*sys.modules.items()]:
        if name.startswith("hashkernels") and hasattr(module, "value_checks_enabled"):
            monkeypatch.setattr(module, "value_checks_enabled", lambda tensor: False)
    monkeypatch.setattr("hashkernels.losses._histogram.adds_in_any_order", lambda device: True)


def make(name, options):
    return getattr(losses, name)(BITS, NUM_CLASSES, **options)


def items(form, seed, count=NUM_ITEMS):
    generator = torch.Generator().manual_seed(seed)
    u = torch.randn(count, BITS, generator=generator).requires_grad_()
    if form == "ids":
        return u, torch.randint(NUM_CLASSES, (count,), generator=generator)
    return u, torch.rand(count, NUM_CLASSES, generator=generator) < 0.4


def train(loss, form, waits, **references):
    """Two steps, the second of which finds a bank half written and meets some items again."""
    for seed in range(2):
        u, labels = items(form, seed)
        indices = torch.randperm(NUM_TRAIN, generator=torch.Generator().manual_seed(seed))[:NUM_ITEMS]
        with waits:
            loss(u, labels, indices=indices, **references).backward()


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
    ref, ref_labels = items(ref_form, seed=7, count=11)
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
    train(make("DSDHLoss", {**BANK, "update_every": 2 * NUM_ITEMS}), "ids", waits)
    assert "aten::nonzero" in waits.found
