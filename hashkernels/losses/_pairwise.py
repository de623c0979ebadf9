"""Losses that are sums over pairs of items."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from hashkernels import _ops
from hashkernels.losses._bank import Bank
from hashkernels.losses._base import Batch, HashLoss
from hashkernels.losses._fused import PairOp, fused_mean
from hashkernels.losses._labels import packed_classes
from hashkernels.losses._pair_sums import MEAN, Columns, PairMean, PairSums, Weighing, pair_sums


class PairwiseLoss(HashLoss):
    """Base of losses over pairs: the batch with itself, with given references, or with a bank of the training set.

    A subclass gives ``_activate`` (what is compared), ``_similarity`` (of two sets of those), or ``_from_inner`` where
    inner products are enough, ``_pair_loss`` (the loss of each pair), ``_pair_weight``, and ``_fused`` where an op has
    the same loss: value and gradient then come from one pass over the pairs, without a second derivative. Torch goes
    over the pairs in blocks for float64 on a GPU, which has no kernel for it, and for a batch with its self pairs.

    Args:
        num_train: number of training items; given, the loss keeps a bank of their latest embeddings, needs
            ``indices=`` in training, and compares the batch with the bank. The gradient runs through the batch
            alone. In training mode every call writes the batch into the bank, also under ``torch.no_grad()``; in
            evaluation mode the bank is only read, and indices are ignored.
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
        """[R, C] from activated embeddings."""
        return self._from_inner(rows @ columns.T)

    def _from_inner(self, inner: Tensor) -> Tensor:
        """Similarities from inner products, elementwise: by default those."""
        return inner

    @abstractmethod
    def _pair_loss(self, similarity: Tensor, relevant: Tensor) -> Tensor:
        """Elementwise loss of pairs, with a finite slope everywhere."""

    def _pair_weight(self, batch: Batch, columns: Columns) -> Callable[[slice], Tensor] | None:
        """What gives the weights [R, C] of the pairs of a block of rows; None: all weigh 1."""
        return None

    def _fused(self, batch: Batch) -> PairOp | None:
        """The op of this loss; None: there is none for these options and labels."""
        return None

    def _pair_mean(self, batch: Batch, weighing: Weighing = MEAN, rows: Tensor | None = None) -> PairMean:
        """Mean of the pair loss, weighed; ``rows``: what ``_activate`` gives, where that is known."""
        rows = self._activate(batch.u) if rows is None else rows
        fused = self._fused(batch) if self._pairs_can_be_fused(batch) else None
        if fused is None:
            return self._pair_sums(batch, rows).mean(weighing)
        columns = self._columns(batch, rows, fused=True)
        if columns.emb is rows:
            labels = columns.labels
        elif columns.labels.ndim == 1:
            labels = batch.labels
        else:
            labels = packed_classes(batch.labels, self.num_classes)
        return fused_mean(fused, rows, labels, columns, weighing)

    def _pairs_can_be_fused(self, batch: Batch) -> bool:
        if not (batch.u.is_cpu or (batch.u.is_cuda and batch.u.dtype == torch.float32)):
            return False
        return self.bank is not None or batch.ref_emb is not None or not self.self_pairs

    def _pair_sums(self, batch: Batch, rows: Tensor) -> PairSums:
        """Sums of the weighted pair loss."""
        columns = self._columns(batch, rows)
        weight = self._pair_weight(batch, columns)
        return pair_sums(rows, batch.labels, columns, self._similarity, self._pair_loss, weight)

    def _check_takes_references(self) -> None:
        super()._check_takes_references()
        if self.bank is not None:
            raise ValueError("ref_emb must be None for a loss that keeps a bank (num_train)")

    def _before_write(self, indices: Tensor, batch: Batch) -> None:
        """Called before a batch is stored in the bank, with its checked positions."""

    def _columns(self, batch: Batch, activated: Tensor, *, fused: bool = False) -> Columns:
        """What an op compares with, or else what torch does, which reads a bank only in its backward pass and has to be
        told which columns a batch that is compared with itself leaves out."""
        if self.bank is None:
            if batch.ref_emb is not None and batch.ref_labels is not None:
                return Columns(self._activate(batch.ref_emb), _ops.pack_labels(batch.ref_labels), None, None)
            own = None if self.self_pairs or fused else torch.arange(len(activated), device=activated.device)
            return Columns(activated, _ops.pack_labels(batch.labels), None, own)
        own = None
        if self.training:
            indices = self.bank.check_indices(batch.indices, batch.u)
            self._before_write(indices, batch)
            self.bank.write(indices, batch.u, batch.labels)
            own = None if self.self_pairs else indices
        classes, filled = self.bank.classes_beside(batch.labels), self.bank.filled
        emb = self.bank.embeddings.to(batch.u.dtype)
        if not fused:
            emb, classes, filled = self.bank.snapshot(batch.u.dtype), classes.clone(), filled.clone()
        return Columns(self._activate(emb), classes, filled if self.skip_unfilled else None, own)
