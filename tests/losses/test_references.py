"""A batch given as its own reference, and losses that take none."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from hashkernels import losses
from hashkernels.surrogate import SurrogateLoss

LABELS = torch.tensor([0, 0, 1, 1])
OF_PAIRS = ["DBDHLoss", "DCHLoss", "DHNLoss", "DPSHLoss", "DSHLoss", "DTSHLoss", "ECMLoss", "HashNetLoss"]
OF_PAIRS += ["MIHashLoss", "TALRLoss"]


def embeddings():
    return torch.randn(4, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", OF_PAIRS)
def test_a_batch_as_its_own_reference_has_its_own_labels(name):
    loss, u = getattr(losses, name)(8, 3).eval(), embeddings()
    expected = loss(u, LABELS)
    hot = functional.one_hot(LABELS, 3)
    for labels, ref_labels in ((LABELS, LABELS.clone()), (LABELS, hot), (hot, LABELS), (hot, hot.bool())):
        torch.testing.assert_close(loss(u, labels, ref_emb=u, ref_labels=ref_labels), expected)
    bad = [
        (TypeError, "ref_labels must be a torch.Tensor, got str", "x"),
        (ValueError, "ref_labels must have one row for each of 4 items, got 1", torch.tensor([1])),
        (ValueError, r"ref_labels must be in 0\.\.2, got 99", torch.tensor([0, 0, 99, 1])),
        (ValueError, "ref_labels must be labels where ref_emb is u, got others for item 1", torch.tensor([0, 1, 2, 0])),
        (
            ValueError,
            "ref_labels must be labels where ref_emb is u, got others for item 3",
            hot[[0, 1, 2, 0]],
        ),
    ]
    for error, message, ref_labels in bad:
        with pytest.raises(error, match=message):
            loss(u, LABELS, ref_emb=u, ref_labels=ref_labels)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (losses.DPSHLoss(8, 3, num_train=9), "for a loss that keeps a bank"),
        (losses.DTSHLoss(8, 3, num_train=9), "for a loss that keeps a bank"),
        (losses.ECMLoss(8, 3, classwise=True), "with classwise=True"),
        (SurrogateLoss(losses.DPSHLoss(8, 3, num_train=9), -torch.ones(3, 8)), "for a loss that keeps a bank"),
        (losses.CSQLoss(8, 3), "CSQLoss does not compare"),
    ],
)
def test_a_loss_that_takes_no_references_refuses_the_batch_itself(loss, message):
    u = embeddings()
    for ref_emb in (u, u.clone()):
        with pytest.raises(ValueError, match=f"ref_emb must be None.*{message}"):
            loss(u, LABELS, indices=torch.arange(4), ref_emb=ref_emb, ref_labels=LABELS)


@pytest.mark.parametrize("options", [{}, {"num_train": 9}])
def test_sparse_embeddings_are_named(options):
    with pytest.raises(TypeError, match=r"u must be dense, got torch\.sparse_coo"):
        losses.DPSHLoss(8, 3, **options)(embeddings().to_sparse(), LABELS, indices=torch.arange(4))
