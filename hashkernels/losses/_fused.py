"""Means over pairs of items from the fused ops, without those of an item with itself in a bank."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from hashkernels import _ops
from hashkernels.losses._labels import share_a_class
from hashkernels.losses._pair_sums import LEAST_WEIGHT, Columns, PairMean, PairSums, Weighing

PairOp = Callable[..., _ops.PairLoss]


class Fused(NamedTuple):
    """The op of a pair loss, all but scales, weighting and bank given."""

    op: PairOp
    weight: Callable[[Tensor, Tensor], Tensor] | None = None  # of relevant pairs: [N] from packed classes of both


def fused_mean(
    fused: Fused,
    aligned_loss: Callable[[Tensor, Tensor, Tensor], Tensor],
    rows: Tensor,
    labels: Tensor,
    columns: Columns,
    weighing: Weighing,
) -> PairMean:
    """The weighed mean of the pair loss over the pairs that count.

    ``aligned_loss`` is the same loss of each row with one column, both [N, bits], and their relevance [N]. ``labels``
    have the form of those of the columns. The columns of the items themselves in a bank are left out by the op; on a
    GPU, whose kernels know of no such columns, they are counted by it, and taken out again.
    """
    itself = columns.emb is rows
    columns = _counted(columns)
    own = left_out = None
    if not itself and columns.own is not None:
        if _op_leaves_out(rows):
            left_out = columns.own
        else:
            own = _own_pairs(aligned_loss, fused.weight, rows, labels, columns, columns.own)
    all_pairs = len(rows) * (len(rows) - 1 if itself else len(columns.emb))
    num_pairs = all_pairs - (0 if itself or columns.own is None else len(rows))

    def run(weighing: Weighing) -> _ops.PairLoss:
        def scaled(u: Tensor, u_labels: Tensor, **bank: Tensor) -> _ops.PairLoss:
            scales = {"positive_scale": weighing.positive, "negative_scale": weighing.negative}
            return fused.op(u, u_labels, weighted=not weighing.each, **scales, **bank)

        if itself:
            return scaled(rows, labels)
        if left_out is not None:
            return scaled(rows, labels, bank=columns.emb, bank_labels=columns.labels, left_out=left_out)
        return against(scaled, rows, labels, columns.emb, columns.labels)

    if own is not None and weighing.each:
        # A divisor that is known only afterwards: each kind of pairs has a pass of its own.
        positive = run(Weighing(1.0, 0.0, each=True))
        negative = run(Weighing(0.0, 1.0, each=True))
        num_positive, num_negative = positive.num_pairs
        sums = PairSums(positive.total * num_positive, negative.total * num_negative, num_positive, num_negative)
        return PairMean(sums.without(own.sums()).mean(weighing).value, num_pairs)
    loss = run(weighing)
    if own is None:
        return PairMean(loss.total, num_pairs)
    if weighing.positive == weighing.negative:  # all pairs weigh the same, and their number is known
        total = loss.total * all_pairs - own.values.sum()
        return PairMean(total / num_pairs if num_pairs else total * 0, num_pairs)
    total = loss.total * weighing.total(*loss.num_pairs) - own.total(weighing)
    weight = weighing.total(*(loss.num_pairs - own.counts()))
    return PairMean(total.masked_fill(weight == 0, 0) / weight.clamp(min=LEAST_WEIGHT), num_pairs)


def _op_leaves_out(rows: Tensor) -> bool:
    """Whether a column that is left out costs the op nothing: not on a GPU, where torch would answer in its place."""
    return not rows.is_cuda


def against(op: PairOp, u: Tensor, labels: Tensor, ref: Tensor, ref_labels: Tensor, **own: float) -> _ops.PairLoss:
    """``u`` against references, with the gradient of both; ``own``: options of the terms that are of ``u`` alone."""
    loss = op(u, labels, bank=ref, bank_labels=ref_labels, **own)
    if not ref.requires_grad:
        return loss
    # The op differentiates its first argument alone, and the terms are symmetric in the two sides.
    mirrored = op(ref, ref_labels, bank=u, bank_labels=labels).total
    return loss._replace(total=loss.total + (mirrored - mirrored.detach()))


def _counted(columns: Columns) -> Columns:
    if columns.counted is None or bool(columns.counted.all()):
        return columns
    kept = columns.counted.nonzero()[:, 0]
    own = None if columns.own is None else (columns.counted.cumsum(0) - 1)[columns.own]  # where they are among the kept
    return Columns(columns.emb[kept], columns.labels[kept], None, own)


class _OwnPairs(NamedTuple):
    """The pair of each item with its own column."""

    values: Tensor  # [N]
    positive: Tensor  # bool [N]

    def total(self, weighing: Weighing) -> Tensor:
        """The weighed sum."""
        return torch.where(self.positive, weighing.positive * self.values, weighing.negative * self.values).sum()

    def counts(self) -> Tensor:
        """How many are relevant and how many are not, int64 [2]."""
        return torch.stack((self.positive, ~self.positive)).sum(dim=1)

    def sums(self) -> PairSums:
        """Sums by kind."""
        near, far = self.values.masked_fill(~self.positive, 0).sum(), self.values.masked_fill(self.positive, 0).sum()
        return PairSums(near, far, *self.counts())


def _own_pairs(
    aligned_loss: Callable[[Tensor, Tensor, Tensor], Tensor],
    weight: Callable[[Tensor, Tensor], Tensor] | None,
    rows: Tensor,
    labels: Tensor,
    columns: Columns,
    own: Tensor,
) -> _OwnPairs:
    own_labels = columns.labels[own]
    positive = share_a_class(labels, own_labels)
    values = aligned_loss(rows, columns.emb[own], positive)
    if weight is not None:
        values = torch.where(positive, weight(labels, own_labels).to(values.dtype), 1) * values
    return _OwnPairs(values, positive)
