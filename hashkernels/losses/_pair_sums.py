"""Sums over pairs of items, in blocks of rows, by torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from hashkernels import _ops
from hashkernels.losses._blocks import sum_blocks
from hashkernels.losses._labels import relevance

_LEAST_WEIGHT = torch.finfo(torch.float32).tiny  # divides a sum over no pairs, which is 0


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


MEAN = Weighing()
BALANCED = Weighing(each=True)


class PairMean(NamedTuple):
    """A weighed mean over ordered pairs, and how many pairs of each kind there are."""

    value: Tensor
    counts: Tensor  # [2]: relevant pairs and the others

    @property
    def num_pairs(self) -> Tensor:
        """The number of all pairs, int64."""
        return self.counts.sum().to(torch.int64)


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
        counts = torch.stack((self.num_positive, self.num_negative))
        if weighing.each:
            return PairMean((scaled / counts.clamp(min=1)).sum(), counts)
        weight = weighing.positive * self.num_positive + weighing.negative * self.num_negative
        return PairMean(scaled.sum() / weight.clamp(min=_LEAST_WEIGHT), counts)


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
