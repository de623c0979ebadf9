"""The logistic likelihood of pair labels, shared by DPSH and its descendants."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def pair_likelihood(logit: Tensor, relevant: Tensor) -> Tensor:
    """``softplus(logit) - relevant * logit``: minus the log-probability of the label under ``sigmoid(logit)``."""
    return functional.softplus(logit) - relevant * logit
