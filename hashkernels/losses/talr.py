"""Tie-aware learning to rank: average precision and NDCG of Hamming rankings."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from hashkernels._validation import check_choice
from hashkernels.losses._base import Batch, Presets, Terms
from hashkernels.losses._histogram import HistogramLoss, SoftBins
from hashkernels.losses._labels import multi_hot


class TALRLoss(HistogramLoss):
    """Minus the tie-aware average precision, or NDCG, of each item of the batch as a query for the others.

    Items at one distance have no order among each other; both measures are those of a random order of such ties, in
    the paper's differentiable forms. With soft histograms over distances, ``c_d`` of all items and ``c+_d`` of the
    relevant ones, ``C`` and ``C+`` their running sums and ``N+`` the number of relevant items::

        AP   = 1/N+ sum_d c+_d (C+_{d-1} + C+_d + 1) / (C_{d-1} + C_d + 1)
        NDCG = 1/ideal sum_d G_d / log2(C_{d-1} + (c_d + 1) / 2 + 1),   G_d = soft histogram of the gains 2^v - 1

    where ``v`` is the number of common classes and ``ideal`` the value with all items in order of their gains. The
    loss is ``-mean`` over the queries that have a relevant item.

    Args:
        bits: code length.
        num_classes: number of classes.
        criterion: ``"ap"`` or ``"ndcg"``.
        num_bins: distances are binned at multiples of ``bits / num_bins``; default ``bits``. The authors run ``bits
            / 2`` from 32 bits on, and 16 on ImageNet.
        slope: codes are relaxed to ``2 sigmoid(slope * u) - 1``; the authors take 1, and 10 on ImageNet.
        reduction: ``"mean"`` over those queries, or ``"sum"`` as in the paper. (The authors' code also divides by the
            width of a bin.)

    Terms: ``precision`` or ``ndcg``.

    Source: He, Cakir, Bargal and Sclaroff, *Hashing as Tie-Aware Learning to Rank*, CVPR 2018.

    Example:
        >>> u = 20 * torch.tensor([[1.0, 1.0], [1.0, 1.0], [-1.0, -1.0], [-1.0, -1.0]])
        >>> loss = TALRLoss(2, num_classes=2)
        >>> loss(u, torch.tensor([0, 0, 1, 1])).item()  # a perfect ranking
        -1.0
    """

    _settings = ("criterion", "num_bins", "slope", "reduction")
    presets: ClassVar[Presets] = {
        "cifar10": {"num_bins": lambda bits: bits // 2 if bits >= 32 else bits},
        "imagenet100": {"num_bins": 16, "slope": 10.0},
    }

    def __init__(
        self,
        bits: int,
        num_classes: int,
        *,
        criterion: str = "ap",
        num_bins: int | None = None,
        slope: float = 1.0,
        reduction: str = "mean",
    ) -> None:
        super().__init__(bits, num_classes, num_bins=num_bins, bits_per_bin=1, slope=slope, reduction=reduction)
        self.criterion = check_choice("criterion", criterion, ("ap", "ndcg"))

    def _gains(self, batch: Batch, part: slice, positive: Tensor) -> Tensor:
        if self.criterion == "ap" or batch.labels.ndim == 1:
            return super()._gains(batch, part, positive)
        others = batch.labels if batch.ref_labels is None else batch.ref_labels
        dtype = batch.u.dtype
        common = multi_hot(batch.labels[part], self.num_classes, dtype) @ multi_hot(others, self.num_classes, dtype).T
        return (torch.exp2(common) - 1) * positive

    def _scores(self, bins: SoftBins, positive: Tensor, negative: Tensor, gains: Tensor) -> tuple[Tensor, Tensor]:
        counts = bins.histogram(positive | negative)  # [R, B]
        upto = counts.cumsum(dim=1)
        if self.criterion == "ap":
            near = bins.histogram(positive)
            near_upto = near.cumsum(dim=1)
            total = positive.sum(dim=1)
            precision = (2 * near_upto - near + 1) / (2 * upto - counts + 1)
            return (near * precision).sum(dim=1) / total.clamp(min=1), total > 0
        gain = bins.histogram(gains)
        discounted = (gain / torch.log2(upto - counts + (counts + 1) / 2 + 1)).sum(dim=1)
        ideal = _ideal(gains)
        return discounted / torch.where(ideal > 0, ideal, 1), ideal > 0

    def _compute(self, batch: Batch) -> Terms:
        return self._negated("precision" if self.criterion == "ap" else "ndcg", batch)


def _ideal(gains: Tensor) -> Tensor:
    """Discounted gain [R] of the best order."""
    ranks = torch.arange(1, gains.shape[1] + 1, device=gains.device, dtype=gains.dtype)
    return (gains.sort(dim=1, descending=True).values / torch.log2(ranks + 1)).sum(dim=1)
