"""Sums over pairs of items, in blocks of rows, by torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from hashkernels import _ops
from hashkernels.losses._blocks import sum_blocks
from hashkernels.losses._labels import relevance

LEAST_WEIGHT = torch.finfo(torch.float32).tiny  # divides a sum over no pairs, which is 0


class Columns(NamedTuple):
    """What the items of a batch are compared with."""

    emb: Tensor  # [C, bits]
    labels: Tensor  # class ids int64 [C] or packed classes int64 [C, W]
    counted: Tensor | None  # bool [C]: columns to take part; None: all
    own: Tensor | None  # int64 [N]: the column that is the item itself and is left out; None: no such column


class Weighing(NamedTuple):
    """How sums over relevant pairs and over the others become one mean."""

    positive: float = 1.0  # what the pairs' losses are multiplied by
    negative: float = 1.0
    each: bool = False  # divide each sum by the number of its pairs, else both by the sum of the weights of all pairs

    def total(self, num_positive: Tensor, num_negative: Tensor) -> Tensor:
        """The sum of the weights of all pairs."""
        return self.positive * num_positive + self.negative * num_negative


MEAN = Weighing()
BALANCED = Weighing(each=True)


class PairMean(NamedTuple):
    """A weighed mean over ordered pairs, and how many pairs there are."""

    value: Tensor
    num_pairs: Tensor | int


class PairSums(NamedTuple):
    """Sums of a loss over ordered pairs, and how many pairs there are."""

    positive: Tensor
    negative: Tensor
    num_positive: Tensor
    num_negative: Tensor

    @property
    def num_pairs(self) -> Tensor:
        """The number of all pairs."""
        return self.num_positive + self.num_negative

    def mean(self, weighing: Weighing) -> PairMean:
        """The weighed mean; 0 without any pair."""
        scaled = torch.stack((weighing.positive * self.positive, weighing.negative * self.negative))
        num_each = self.num_positive, self.num_negative
        if weighing.each:
            return PairMean((scaled / torch.stack(num_each).clamp(min=1)).sum(), self.num_pairs)
        weight = weighing.total(*num_each)
        return PairMean(scaled.sum() / weight.clamp(min=LEAST_WEIGHT), self.num_pairs)

    def without(self, other: PairSums) -> PairSums:
        """Less a part of the pairs; exactly 0 where none are left."""
        num_positive, num_negative = self.num_positive - other.num_positive, self.num_negative - other.num_negative
        positive = (self.positive - other.positive).masked_fill(num_positive == 0, 0)
        negative = (self.negative - other.negative).masked_fill(num_negative == 0, 0)
        return PairSums(positive, negative, num_positive, num_negative)


def pair_sums(
    rows: Tensor,
    labels: Tensor,
    columns: Columns,
    similarity: Callable[[Tensor, Tensor], Tensor],
    pair_loss: Callable[[Tensor, Tensor], Tensor],
    weight: Callable[[slice], Tensor] | None = None,
) -> PairSums:
    """Sums of ``pair_loss(similarity(rows, columns), relevant)`` over the pairs that count."""
    row_labels = _ops.pack_labels(labels)

    def block(part: slice) -> Tensor:
        positive, negative = pair_masks(row_labels, columns, part)
        values = pair_loss(similarity(rows[part], columns.emb), positive)
        if weight is not None:
            values = values * weight(part)
        sums = torch.stack([values.masked_fill(~mask, 0).sum() for mask in (positive, negative)])
        return torch.cat((sums.double(), torch.stack((positive.sum(), negative.sum())).double()))

    result = sum_blocks(block, len(rows), len(columns.emb))
    sums, counts = result[:2].to(rows.dtype), result[2:].to(torch.int64)
    return PairSums(sums[0], sums[1], counts[0], counts[1])


def pair_masks(row_labels: Tensor, columns: Columns, part: slice) -> tuple[Tensor, Tensor]:
    """The relevant and the irrelevant pairs that count, two bool [R, C], for a block of rows."""
    rows = row_labels[part]
    positive = relevance(rows, columns.labels)
    negative = ~positive
    if columns.counted is not None:
        positive, negative = positive & columns.counted, negative & columns.counted
    if columns.own is not None:
        other = columns.own[part, None] != torch.arange(len(columns.labels), device=rows.device)
        positive, negative = positive & other, negative & other
    return positive, negative
