"""Losses from the fused ops against the same losses from torch's own pass over the pairs, which knows no ops."""

from __future__ import annotations

from unittest import mock

import pytest
import torch

from hashkernels import _ops
from hashkernels.losses import DBDHLoss, DCHLoss, DHNLoss, DPSHLoss, DSDHLoss, DSHLoss, HashNetLoss
from hashkernels.losses._pairwise import PairwiseLoss

CASES = {
    "dpsh": (DPSHLoss, {}),
    "dpsh_sum": (DPSHLoss, {"reduction": "sum"}),
    "dpsh_zeros": (DPSHLoss, {"skip_unfilled": False}),
    "dhn": (DHNLoss, {"scale": 0.3}),
    "dbdh": (DBDHLoss, {}),
    "dsdh": (DSDHLoss, {"update_every": 0}),
    "hashnet": (HashNetLoss, {"overlap": False}),
    "hashnet_none": (HashNetLoss, {"overlap": False, "weighting": "none"}),
    "hashnet_positive": (HashNetLoss, {"overlap": False, "weighting": "positive", "positive_weight": 3.0}),
    "hashnet_no_positive": (HashNetLoss, {"overlap": False, "weighting": "positive", "positive_weight": 0.0}),
    "hashnet_overlap": (HashNetLoss, {}),
    "hashnet_overlap_none": (HashNetLoss, {"weighting": "none"}),
    "dsh": (DSHLoss, {}),
    "dsh_near": (DSHLoss, {"margin": 9.0, "skip_unfilled": False}),
    "dch": (DCHLoss, {}),
    "dch_clamped": (DCHLoss, {"max_cosine": 0.5}),
    "dch_floors": (DCHLoss, {"max_cosine": 0.95, "min_distance": 2.0}),
}


def both_ways(make, steps, monkeypatch):
    """Values and gradients of some steps, from the ops and from torch."""
    results = []
    for fused in (True, False):
        with mock.patch.object(
            PairwiseLoss, "_pair_sums", autospec=True, side_effect=PairwiseLoss._pair_sums
        ) as blocks:
            if not fused:
                monkeypatch.setattr(PairwiseLoss, "_pairs_can_be_fused", lambda self, batch: False)
            loss = make()
            found = []
            for inputs, arguments in steps:
                value = loss(*arguments[0], **arguments[1])
                found += [value.detach(), *torch.autograd.grad(value, inputs)]
            assert blocks.called is not fused
        monkeypatch.undo()
        results.append(found)
    for actual, expected in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("case", sorted(set(CASES) - {"dsdh"}))
def test_a_batch_with_itself_and_with_references(isa, example, reference_example, case, monkeypatch):
    kind, options = CASES[case]
    batch, ref, ref_labels, _ = reference_example
    references = {"ref_emb": ref, "ref_labels": ref_labels}
    steps = [([example.u], ((example.u, example.labels), {}))]
    steps.append(([batch.u, ref], ((batch.u, batch.labels), references)))
    both_ways(lambda: kind(12, 5, **options), steps, monkeypatch)


@pytest.mark.parametrize("case", CASES)
def test_a_bank_with_rows_unfilled_and_an_index_that_comes_twice(isa, example, case, monkeypatch):
    kind, options = CASES[case]
    bank_both_ways(example, kind, options, monkeypatch)


@pytest.mark.parametrize("options", [{}, {"num_train": 20}])
def test_both_kinds_of_pairs_of_dch_come_from_one_pass(example, options):
    with mock.patch("hashkernels._ops.cauchy_loss", side_effect=_ops.cauchy_loss) as op:
        DCHLoss(12, 5, **options)(example.u, example.labels, indices=torch.arange(9)).backward()
    assert op.call_count == 1


def bank_both_ways(example, kind, options, monkeypatch):
    steps = []
    for items, where in ((slice(0, 5), [3, 0, 19, 7, 11]), (slice(3, 9), [3, 4, 12, 4, 19, 8])):
        u = example.u.detach()[items].clone().requires_grad_()
        steps.append(([u], ((u, example.labels[items]), {"indices": torch.tensor(where)})))
    both_ways(lambda: kind(12, 5, num_train=20, **options).double(), steps, monkeypatch)


@pytest.mark.parametrize("options", [{"self_pairs": True}, {"num_train": 9, "self_pairs": True}])
def test_pairs_with_itself_count(example, options):
    """A batch with its self pairs is torch's; a bank that counts them needs nothing taken out."""
    u = example.u.detach().clone().requires_grad_()
    loss = DPSHLoss(12, 5, quantization_weight=0, **options).double()
    value = loss(u, example.labels, indices=torch.arange(9))
    pairs = torch.logaddexp(u @ u.T / 2, torch.zeros(9, 9).double()) - example.relevant * (u @ u.T / 2)
    torch.testing.assert_close(value, pairs.mean(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_a_bank_half_filled_compiles_into_one_graph(example, backend):
    steps = [(slice(0, 5), torch.tensor([3, 0, 19, 7, 11])), (slice(4, 9), torch.tensor([3, 4, 12, 4, 19]))]

    def gradients(function):
        results = []
        for items, indices in steps:
            u = example.u.detach()[items].clone().requires_grad_()
            value = function(u, example.labels[items], indices)
            results += [value.detach(), *torch.autograd.grad(value, u)]
        return results

    def value_of(loss):
        return lambda u, labels, indices: loss._pair_mean(loss._checked(u, labels, indices, None, None)).value

    expected = gradients(value_of(DPSHLoss(12, 5, num_train=20).double()))
    compiled = torch.compile(value_of(DPSHLoss(12, 5, num_train=20).double()), fullgraph=True, backend=backend)
    torch.testing.assert_close(gradients(compiled), expected)


def test_counts_stay_exact_in_single_precision():
    """The own pairs of a bank are taken out of a mean over many pairs without a trace."""
    generator = torch.Generator().manual_seed(0)
    u, labels = torch.randn(600, 32, generator=generator), torch.arange(600) % 7
    plain, banked = HashNetLoss(32, 7), HashNetLoss(32, 7, num_train=600)
    expected = plain(u, labels)
    torch.testing.assert_close(banked(u, labels, indices=torch.arange(600)), expected, rtol=1e-5, atol=0)
