"""Losses that are sums over pairs of items."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from hashkernels import _ops
from hashkernels.losses._bank import Bank
from hashkernels.losses._base import Batch, HashLoss
from hashkernels.losses._blocks import sum_blocks
from hashkernels.losses._labels import relevance


class Columns(NamedTuple):
    """What the items of a batch are compared with."""

    emb: Tensor  # [C, bits]
    labels: Tensor  # class ids int64 [C] or packed classes int64 [C, W]
    counted: Tensor | None  # bool [C]: columns to take part; None: all
    own: Tensor | None  # int64 [N]: the column that is the item itself and is left out; None: no such column


class PairSums(NamedTuple):
    """Sums of a loss over ordered pairs, and how many pairs there are."""

    positive: Tensor
    negative: Tensor
    num_positive: Tensor
    num_negative: Tensor

    def total(self) -> Tensor:
        """Sum over all pairs."""
        return self.positive + self.negative

    def mean(self) -> Tensor:
        """Mean over all pairs; 0 without any."""
        return self.total() / (self.num_positive + self.num_negative).clamp(min=1)

    def balanced(self) -> Tensor:
        """Mean over the relevant pairs plus mean over the others, each 0 without any."""
        return self.positive / self.num_positive.clamp(min=1) + self.negative / self.num_negative.clamp(min=1)


class PairwiseLoss(HashLoss):
    """Base of losses over pairs: the batch with itself, with given references, or with a bank of the training set.

    A subclass gives ``_activate`` (what is compared), ``_similarity`` (a matrix from two sets of those),
    ``_pair_loss`` (the loss of each pair) and ``_pair_weight``.

    Args:
        num_train: number of training items; given, the loss keeps a bank of their latest embeddings, needs
            ``indices=`` in training, and compares the batch with the bank. The gradient runs through the batch
            alone. In evaluation mode the bank is only read, and indices are ignored.
        self_pairs: whether an item makes a pair with itself.
        skip_unfilled: whether bank rows that no batch has written yet are left out; else they count as zeros,
            without a class, as in common implementations.
    """

    def __init__(
        self,
        bits: int,
        num_classes: int,
        *,
        num_train: int | None = None,
        self_pairs: bool = False,
        skip_unfilled: bool = True,
    ) -> None:
        super().__init__(bits, num_classes)
        self.self_pairs = bool(self_pairs)
        self.skip_unfilled = bool(skip_unfilled)
        self.bank = None if num_train is None else Bank(num_train, self.bits, self.num_classes)

    def _activate(self, u: Tensor) -> Tensor:
        """What is compared: by default the embeddings."""
        return u

    def _similarity(self, rows: Tensor, columns: Tensor) -> Tensor:
        """[R, C] from activated embeddings: by default inner products."""
        return rows @ columns.T

    @abstractmethod
    def _pair_loss(self, similarity: Tensor, relevant: Tensor) -> Tensor:
        """Elementwise loss of pairs, with a finite slope everywhere."""

    def _pair_weight(self, batch: Batch, columns: Columns) -> Callable[[slice], Tensor] | None:
        """What gives the weights [R, C] of the pairs of a block of rows; None: all weigh 1."""
        return None

    def _pair_sums(self, batch: Batch) -> PairSums:
        """Sums of the weighted pair loss."""
        rows = self._activate(batch.u)
        columns = self._columns(batch, rows)
        weight = self._pair_weight(batch, columns)
        return pair_sums(rows, batch.labels, columns, self._similarity, self._pair_loss, weight)

    def _columns(self, batch: Batch, activated: Tensor) -> Columns:
        if self.bank is None:
            if batch.ref_emb is not None and batch.ref_labels is not None:
                return Columns(self._activate(batch.ref_emb), _ops.pack_labels(batch.ref_labels), None, None)
            own = None if self.self_pairs else torch.arange(len(activated), device=activated.device)
            return Columns(activated, _ops.pack_labels(batch.labels), None, own)
        if batch.ref_emb is not None:
            raise ValueError("ref_emb must be None for a loss that keeps a bank (num_train)")
        own = None
        if self.training:
            indices = self.bank.check_indices(batch.indices, batch.u)
            self.bank.write(indices, batch.u, batch.labels)
            own = None if self.self_pairs else indices
        emb = self._activate(self.bank.snapshot(batch.u.dtype))
        counted = self.bank.filled.clone() if self.skip_unfilled else None
        return Columns(emb, self.bank.classes.clone(), counted, own)


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
        sums = [torch.where(mask, values, 0).sum() for mask in (positive, negative)]
        return torch.stack([part.double() for part in (*sums, positive.sum(), negative.sum())])

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
