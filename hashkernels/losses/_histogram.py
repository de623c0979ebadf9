"""Losses of ranking: every item is a query, and the others lie in a soft histogram of their distances to it."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from hashkernels import _ops
from hashkernels._validation import check_choice, check_int, check_real
from hashkernels.losses._base import Batch, HashLoss, Terms
from hashkernels.losses._blocks import BLOCK_ELEMENTS, sum_blocks
from hashkernels.losses._pair_sums import Columns, pair_masks
from hashkernels.losses._precision import adds_in_any_order


class HistogramLoss(HashLoss):
    """Base of losses over histograms of distances: minus a score of each query.

    With ``phi = tanh(slope / 2 * u)`` the distance is ``(bits - phi_i . phi_j) / 2``. It is shared out between the two
    nearest of the ``num_bins + 1`` bin centers ``l * bits / num_bins``, so that the histograms have a gradient.
    Memory is that of a block of queries times the items, never that of pairs times bins.
    """

    def __init__(
        self, bits: int, num_classes: int, *, num_bins: int | None, bits_per_bin: int, slope: float, reduction: str
    ) -> None:
        super().__init__(bits, num_classes)
        default = max(1, self.bits // bits_per_bin)
        self.num_bins = default if num_bins is None else check_int("num_bins", num_bins, 1)
        self.slope = check_real("slope", slope, 0)
        self.reduction = check_choice("reduction", reduction, ("mean", "sum"))

    @abstractmethod
    def _scores(self, bins: SoftBins, positive: Tensor, negative: Tensor, gains: Tensor) -> tuple[Tensor, Tensor]:
        """Scores [R] of a block of queries, and a mask [R] of the queries that have one; masks and gains are [R,
        C]."""

    def _gains(self, batch: Batch, part: slice, positive: Tensor) -> Tensor:
        """Worth of each item for each query, [R, C]."""
        return positive.to(batch.u.dtype)

    def _mean_score(self, batch: Batch) -> Tensor:
        """Mean (or sum) of the scores of the queries that have one; 0 without any."""
        rows = self._squash(batch.u)
        if batch.ref_emb is None or batch.ref_labels is None:
            own = torch.arange(len(rows), device=rows.device)
            columns = Columns(rows, _ops.pack_labels(batch.labels), None, own)
        else:
            columns = Columns(self._squash(batch.ref_emb), _ops.pack_labels(batch.ref_labels), None, None)
        row_labels = _ops.pack_labels(batch.labels)

        def block(part: slice) -> Tensor:
            positive, negative = pair_masks(row_labels, columns, part)
            position = (self.bits - rows[part] @ columns.emb.T) * (self.num_bins / (2 * self.bits))
            bins = SoftBins(position, self.num_bins)
            scores, valid = self._scores(bins, positive, negative, self._gains(batch, part, positive))
            return torch.stack([torch.where(valid, scores, 0).sum().double(), valid.sum().double()])

        total, count = sum_blocks(block, len(rows), len(columns.emb))
        score: Tensor = total / count.clamp(min=1) if self.reduction == "mean" else total
        return score.to(batch.u.dtype)

    def _squash(self, u: Tensor) -> Tensor:
        return torch.tanh(u * (self.slope / 2))

    def _negated(self, name: str, batch: Batch) -> Terms:
        return Terms.sum_of(**{name: -self._mean_score(batch)})


class SoftBins:
    """Where each distance of a block lies: between bin ``left`` and the next, ``share`` of it in the next."""

    def __init__(self, position: Tensor, num_bins: int) -> None:
        self.left = position.detach().floor().clamp(0, num_bins - 1).to(torch.int64)  # [R, C]
        self.share = position - self.left  # [R, C]
        self.num_bins = num_bins

    def histogram(self, weights: Tensor) -> Tensor:
        """Weights [R, C] shared out over the bins, [R, num_bins + 1]; no gradient runs to the weights."""
        _ops.reverse_mode_only(self.share)
        counts: Tensor = _Histogram.apply(self.share, self.left, weights.to(self.share.dtype), self.num_bins)  # type: ignore[no-untyped-call]
        return counts


class _Histogram(torch.autograd.Function):
    """Sums over the items of each bin, the same bits at every call on every device."""

    @staticmethod
    def forward(ctx: Any, share: Tensor, left: Tensor, weights: Tensor, num_bins: int) -> Tensor:
        ctx.save_for_backward(left, weights)
        if adds_in_any_order(share.device):
            position = left + share
            bins = torch.arange(num_bins + 1, device=position.device)
            at_once = min(num_bins + 1, max(1, BLOCK_ELEMENTS // max(position.numel(), 1)))
            return torch.cat([_bin_sums(position, weights, some) for some in torch.split(bins, at_once)], dim=1)
        counts = share.new_zeros(len(weights), num_bins + 1)
        counts.scatter_add_(1, left, weights * (1 - share))
        return counts.scatter_add_(1, left + 1, weights * share)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        left, weights = ctx.saved_tensors
        return weights * (grad.gather(1, left + 1) - grad.gather(1, left)), None, None, None


def _bin_sums(position: Tensor, weights: Tensor, bins: Tensor) -> Tensor:
    """Sums [R, b] of some bins."""
    distance = (position[:, None] - bins[:, None]).abs_()  # [R, b, C]
    return (1 - distance).clamp_(min=0).mul_(weights[:, None]).sum(dim=2)
