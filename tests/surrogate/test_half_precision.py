"""Posteriors with parameters of half precision, on a batch whose sums are beyond the largest float16."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from hashkernels.surrogate import SurrogateLoss, SurrogatePosterior

ITEMS, BITS = 2000, 68  # a sum of about 2000 items x 9 blocks x ln 256 = 100,000
CODES = torch.tensor([[1.0, -1.0] * 34, [-1.0, 1.0] * 34, [1.0] * 68])
LABELS = torch.arange(ITEMS) % 3
WEIGHT = torch.linspace(0.5, 2, ITEMS)
SHARES = torch.stack((WEIGHT, 2 - WEIGHT / 2, WEIGHT / 4), dim=1)

TERMS: dict[str, Callable[[SurrogatePosterior, Tensor], Tensor]] = {
    "own": lambda posterior, u: posterior.nll(u),
    "weighted": lambda posterior, u: posterior.nll(u, CODES[LABELS], WEIGHT),
    "split": lambda posterior, u: torch.stack(posterior.split_nll(u, CODES[LABELS], WEIGHT)).sum(),
    "shared": lambda posterior, u: torch.stack(posterior.shared_nll(u, CODES, SHARES)).sum(),
}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("term", TERMS)
def test_a_large_batch_is_summed_in_float32(term: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    posterior = SurrogatePosterior(BITS, hidden=16).to(dtype).eval()
    exact = SurrogatePosterior(BITS, hidden=16).double().eval()
    exact.load_state_dict(posterior.state_dict())
    u = torch.randn(ITEMS, BITS).to(dtype)
    found, expected = TERMS[term](posterior, u), TERMS[term](exact, u)
    found.backward()
    expected.backward()
    assert found.dtype == dtype
    # Logits and gradients of items are of the half type: about its precision, 2^-11 or 2^-8.
    precision = torch.finfo(dtype).eps
    torch.testing.assert_close(found.double(), expected, rtol=precision, atol=0)
    for mine, theirs in zip(posterior.parameters(), exact.parameters(), strict=True):
        assert (mine.grad - theirs.grad).norm() < 4 * precision * theirs.grad.norm()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("update", ["joint", "alternating"])
@pytest.mark.parametrize("multi_hot", [False, True])
def test_a_loss_of_half_precision_is_that_of_float64(dtype: torch.dtype, update: str, multi_hot: bool) -> None:
    torch.manual_seed(0)
    loss = SurrogateLoss(None, CODES, hidden=16, update=update, target_dropout=update == "joint").to(dtype).eval()
    exact = SurrogateLoss(None, CODES, hidden=16, update=update).double().eval()
    exact.load_state_dict(loss.state_dict())
    u = torch.randn(ITEMS, BITS).to(dtype)
    labels = torch.eye(3, dtype=torch.int64)[LABELS] | torch.eye(3, dtype=torch.int64)[0] if multi_hot else LABELS
    torch.testing.assert_close(loss(u, labels).double(), exact(u.double(), labels), rtol=torch.finfo(dtype).eps, atol=0)
