"""Deep Cauchy hashing."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from hashkernels import _ops
from hashkernels._validation import check_choice, check_real
from hashkernels.losses._base import Batch, Presets, Terms
from hashkernels.losses._codes import directions, mean
from hashkernels.losses._fused import PairOp
from hashkernels.losses._pair_sums import BALANCED
from hashkernels.losses._pairwise import PairwiseLoss

_LEAST_DISTANCE = 1e-20  # stands for zero in the op, which divides by it


class DCHLoss(PairwiseLoss):
    """Cauchy likelihood of pair labels: relevant items are drawn into a small Hamming ball.

    With ``d_ij = bits / 2 * (1 - cos(u_i, u_j))`` and the probability ``gamma / (gamma + d_ij)`` of being relevant::

        mean over relevant pairs   of log(1 + d_ij / gamma)
      + mean over irrelevant pairs of log(gamma + d_ij) - log(d_ij)
      + quantization_weight * mean_i log(1 + d(|u_i|, 1) / gamma)

    which is the paper's sum, with its weights ``|S| / |S_1|`` and ``|S| / |S_0|``, divided by the number of pairs.
    Distances of irrelevant pairs count as at least ``min_distance``, where the logarithm would run away. An embedding
    of zeros has no direction: its cosines are 0, and it gets no gradient.

    Args:
        bits: code length.
        num_classes: number of classes.
        num_train: keep a bank of so many items and compare the batch with it; needs ``indices=``.
        gamma: scale of the Cauchy distribution, in bits.
        quantization_weight: weight of the last term.
        distance: ``"cosine"``, or ``"squared_euclidean"``: ``|tanh u_i - tanh u_j|^2 + 0.001``, four times the Hamming
            distance between corners, as the authors' code calls it.
        balance: ``"both"``, or ``"positives"``: the irrelevant pairs' sum is divided by the number of all pairs, as in
            the authors' code.
        quantization: ``"cauchy"``, or ``"squared"``: ``mean_ik (|u_ik| - 1)^2`` (of ``tanh u`` with the Euclidean
            distance), as in the authors' code, whose weight for it is 0 by default.
        max_cosine: cosines are clamped to at most this, which stops the gradient of nearer pairs; 0.99 is common.
        min_distance: see above.
        self_pairs: whether an item makes a pair with itself.
        skip_unfilled: leave out bank rows not written yet; else they count as zeros.

    Terms: ``cauchy``, ``quantization``.

    Source: Cao, Long, Liu and Wang, *Deep Cauchy Hashing for Hamming Space Retrieval*, CVPR 2018.

    Example:
        >>> loss = DCHLoss(16, num_classes=10, gamma=8.0)
        >>> u = torch.ones(2, 16)
        >>> u[1, :8] = -1
        >>> round(loss(u, torch.tensor([0, 0])).item(), 4)  # distance 8: log(1 + 8 / 8)
        0.6931
    """

    _settings = (
        *("gamma", "quantization_weight", "distance", "balance", "quantization", "max_cosine", "min_distance"),
        *("self_pairs", "skip_unfilled"),
    )
    presets: ClassVar[Presets] = {
        "authors": {
            "distance": "squared_euclidean",
            "balance": "positives",
            "quantization": "squared",
            "quantization_weight": 0.0,
        }
    }

    def __init__(
        self,
        bits: int,
        num_classes: int,
        *,
        num_train: int | None = None,
        gamma: float = 20.0,
        quantization_weight: float = 0.1,
        distance: str = "cosine",
        balance: str = "both",
        quantization: str = "cauchy",
        max_cosine: float = 1.0,
        min_distance: float = 1e-3,
        self_pairs: bool = False,
        skip_unfilled: bool = True,
    ) -> None:
        super().__init__(bits, num_classes, num_train=num_train, self_pairs=self_pairs, skip_unfilled=skip_unfilled)
        self.gamma = check_real("gamma", gamma, 1e-6)
        self.quantization_weight = check_real("quantization_weight", quantization_weight, 0)
        self.distance = check_choice("distance", distance, ("cosine", "squared_euclidean"))
        self.balance = check_choice("balance", balance, ("both", "positives"))
        self.quantization = check_choice("quantization", quantization, ("cauchy", "squared"))
        self.max_cosine = check_real("max_cosine", max_cosine, -1, 1)
        self.min_distance = check_real("min_distance", min_distance, 1e-12)

    def _activate(self, u: Tensor) -> Tensor:
        return directions(u) if self.distance == "cosine" else torch.tanh(u)

    def _similarity(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Distances, of the chosen kind."""
        if self.distance == "cosine":
            return super()._similarity(rows, columns)
        inner = rows @ columns.T
        squares = rows.square().sum(dim=1, keepdim=True) + columns.square().sum(dim=1)
        return (squares - 2 * inner).clamp(min=0) + 0.001

    def _pair_loss(self, similarity: Tensor, relevant: Tensor) -> Tensor:
        return _ops.pair_cauchy(similarity, relevant, self.gamma, self.min_distance)

    def _fused(self, batch: Batch) -> PairOp | None:
        if self.distance != "cosine" or self.balance != "both":
            return None
        scale = self.bits / 2
        nearest = max(_LEAST_DISTANCE, (1 - self.max_cosine) * scale)
        return partial(
            _ops.cauchy_loss,
            gamma=self.gamma,
            distance_scale=scale,
            positive_min_distance=nearest,
            negative_min_distance=max(nearest, self.min_distance),
        )

    def _compute(self, batch: Batch) -> Terms:
        rows = self._activate(batch.u)
        if self.balance == "both":
            likelihood = self._pair_mean(batch, BALANCED, rows).value
        else:
            pairs = self._pair_sums(batch, rows)
            everything = pairs.num_pairs.clamp(min=1)
            likelihood = pairs.positive / pairs.num_positive.clamp(min=1) + pairs.negative / everything
        return Terms.sum_of(
            cauchy=likelihood, quantization=self.quantization_weight * self._quantization(batch.u, rows)
        )

    def _quantization(self, u: Tensor, rows: Tensor) -> Tensor:
        if self.quantization == "squared":
            values = u if self.distance == "cosine" else rows
            return mean((values.abs() - 1).square())
        unit = rows if self.distance == "cosine" else directions(u)
        cosine = unit.abs().sum(dim=1) / self.bits**0.5
        return mean(torch.log1p(self._from_inner(cosine) / self.gamma))

    def _from_inner(self, inner: Tensor) -> Tensor:
        """Distance in bits; rounding may bring the cosine of equal directions above one."""
        return (1 - inner.clamp(max=self.max_cosine)) * (self.bits / 2)
