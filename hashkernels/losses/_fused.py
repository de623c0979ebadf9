"""Means over pairs of items from the fused ops."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from hashkernels import _ops
from hashkernels.losses._pair_sums import Columns, PairMean, Weighing

PairOp = Callable[..., _ops.PairLoss]  # all but scales, weighting and bank given


def fused_mean(op: PairOp, rows: Tensor, labels: Tensor, columns: Columns, weighing: Weighing) -> PairMean:
    """The weighed mean of the pair loss over the pairs that count; ``labels`` have the form of those of the columns."""

    def weighed(u: Tensor, u_labels: Tensor, **bank: Tensor | None) -> _ops.PairLoss:
        scales = {"positive_scale": weighing.positive, "negative_scale": weighing.negative}
        return op(u, u_labels, weighted=not weighing.each, **scales, **bank)

    if columns.emb is rows:
        loss = weighed(rows, labels)
    elif columns.emb.requires_grad:
        loss = against(weighed, rows, labels, columns.emb, columns.labels)
    else:
        which = {"left_out": columns.own, "counted": columns.counted}
        loss = weighed(rows, labels, bank=columns.emb, bank_labels=columns.labels, **which)
    return PairMean(loss.total, loss.sums[3:])


def against(op: PairOp, u: Tensor, labels: Tensor, ref: Tensor, ref_labels: Tensor, **own: float) -> _ops.PairLoss:
    """``u`` against references, with the gradient of both; ``own``: options of the terms that are of ``u`` alone."""
    loss = op(u, labels, bank=ref, bank_labels=ref_labels, **own)
    if not ref.requires_grad:
        return loss
    # The op differentiates its first argument alone, and the terms are symmetric in the two sides.
    mirrored = op(ref, ref_labels, bank=u, bank_labels=labels).total
    return loss._replace(total=loss.total + (mirrored - mirrored.detach()))
