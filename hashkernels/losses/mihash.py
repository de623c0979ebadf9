"""MIHash: hashing by mutual information."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from hashkernels.losses._base import Batch, Presets, Terms
from hashkernels.losses._histogram import HistogramLoss, SoftBins


class MIHashLoss(HistogramLoss):
    """Minus the mutual information between the distance of an item to the query and whether it is relevant.

    For each item of the batch as the query, over the others, with soft histograms of distances::

        -mean_i I_i,   I = H(D) - p+ H(D | relevant) - p- H(D | irrelevant)   in bits of information

    over the queries that have both a relevant and an irrelevant item; others have no gradient.

    Args:
        bits: code length.
        num_classes: number of classes.
        num_bins: distances are binned at multiples of ``bits / num_bins``; default ``bits // 2``. The paper runs 12, 16
            and 32.
        slope: codes are relaxed to ``2 sigmoid(slope * u) - 1 = tanh(slope / 2 * u)``. The authors take 1, 30 to 40 in
            their second CIFAR-10 setting, and 10 on ImageNet.
        reduction: ``"mean"`` over those queries, or ``"sum"`` as in the paper.

    Terms: ``information``.

    Source: Cakir, He, Bargal and Sclaroff, *MIHash: Online Hashing with Mutual Information*, ICCV 2017, and
    *Hashing with Mutual Information*, TPAMI 2019.

    Example:
        >>> u = 20 * torch.tensor([[1.0, 1.0], [1.0, 1.0], [-1.0, -1.0], [-1.0, -1.0]])
        >>> loss = MIHashLoss(2, num_classes=2)
        >>> round(loss(u, torch.tensor([0, 0, 1, 1])).item(), 4)  # all there is to know: the entropy of (1/3, 2/3)
        -0.9183
    """

    _settings = ("num_bins", "slope", "reduction")
    presets: ClassVar[Presets] = {"cifar10": {"slope": 1.0}, "imagenet100": {"slope": 10.0}}

    def __init__(
        self, bits: int, num_classes: int, *, num_bins: int | None = None, slope: float = 1.0, reduction: str = "mean"
    ) -> None:
        super().__init__(bits, num_classes, num_bins=num_bins, bits_per_bin=2, slope=slope, reduction=reduction)

    def _scores(self, bins: SoftBins, positive: Tensor, negative: Tensor, gains: Tensor) -> tuple[Tensor, Tensor]:
        near, far = bins.histogram(positive), bins.histogram(negative)  # [R, B]
        num_near, num_far = positive.sum(dim=1), negative.sum(dim=1)
        sizes = torch.stack((num_near, num_far, num_near + num_far)).clamp(min=1)  # [3, R]
        of_near, of_far, of_all = _entropy(torch.stack((near, far, near + far)), sizes)
        conditional = num_near * of_near + num_far * of_far
        return of_all - conditional / sizes[2], (num_near > 0) & (num_far > 0)

    def _compute(self, batch: Batch) -> Terms:
        return self._negated("information", batch)


def _entropy(counts: Tensor, total: Tensor) -> Tensor:
    """Entropy in bits of each row of counts, with a finite slope at empty bins."""
    share = counts / total[..., None]
    least = torch.finfo(share.dtype).tiny
    return (share * share.clamp(min=least).log()).sum(dim=-1) / -math.log(2)
