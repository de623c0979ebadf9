"""Deep supervised hashing with triplet labels."""

from __future__ import annotations

import torch
from torch import Tensor

from hashkernels import _ops
from hashkernels._validation import check_choice, check_int, check_real
from hashkernels.losses._bank import Bank
from hashkernels.losses._base import Batch, HashLoss, Terms
from hashkernels.losses._codes import sign_error
from hashkernels.losses._labels import packed_classes
from hashkernels.losses._pair_sums import Columns, pair_masks


class DTSHLoss(HashLoss):
    """Logistic likelihood that a query's relevant item is nearer than its irrelevant one, by a margin.

    With ``theta_ij = scale * u_i . u_j``, over the triplets of a query ``q``, an item ``p`` relevant to it (not
    itself) and an item ``n`` that is not::

        mean_qpn softplus(theta_qn + margin - theta_qp)  +  quantization_weight * mean_ik (sgn(u_ik) - u_ik)^2

    Every triplet of the batch counts, but they are never stored: memory is that of the similarities.

    With a bank (``num_train``) the relevant and irrelevant items come from the training set instead, ``drawn`` of each
    class at every step and none of the batch itself, and the gradient runs through the queries alone, as in the
    authors' code. They are drawn by torch's random generator, the same ones for all queries of a step, where the
    authors draw anew for each. (With multi-hot labels that waits for a GPU.) In training mode every call writes the
    batch into the bank, also under ``torch.no_grad()``; in evaluation mode the bank is only read, and indices are
    ignored.

    Args:
        bits: code length.
        num_classes: number of classes.
        num_train: number of training items; given, the loss keeps a bank of their latest embeddings and needs
            ``indices=`` in training.
        drawn: items of each class that are drawn from the bank; the authors take 50.
        margin: default: the authors' ``bits / 2``. Common implementations take 5 with ``scale=1``.
        scale: of the inner product; the paper's is 1/2.
        quantization_weight: weight of the second term, for the chosen reduction.
        reduction: ``"triplets"`` (the mean over all triplets), ``"anchors"`` (the mean over the triplets of a
            query, then over the queries that have any, as in common implementations) or ``"sum"`` (sums for both
            means, the paper's).

    Terms: ``likelihood``, ``quantization``.

    Source: Wang, Shi and Kitani, *Deep Supervised Hashing with Triplet Labels*, ACCV 2016. The authors' code
    averages the likelihood over 50 x 50 triplets of each query and negative class and weighs the sum of the second term
    by 100; common implementations take ``margin=5, scale=1, reduction="anchors"``.

    Example:
        >>> u = torch.zeros(3, 16, requires_grad=True)
        >>> loss = DTSHLoss(16, num_classes=2, quantization_weight=0)
        >>> round(loss(u, torch.tensor([0, 0, 1])).item(), 4)  # softplus(8)
        8.0003
    """

    _settings = ("margin", "scale", "quantization_weight", "reduction", "drawn")

    def __init__(
        self,
        bits: int,
        num_classes: int,
        *,
        num_train: int | None = None,
        drawn: int = 50,
        margin: float | None = None,
        scale: float = 0.5,
        quantization_weight: float = 1.0,
        reduction: str = "triplets",
    ) -> None:
        super().__init__(bits, num_classes)
        self.margin = self.bits / 2 if margin is None else check_real("margin", margin)
        self.scale = check_real("scale", scale, 0)
        self.quantization_weight = check_real("quantization_weight", quantization_weight, 0)
        self.reduction = check_choice("reduction", reduction, ("triplets", "anchors", "sum"))
        self.drawn = check_int("drawn", drawn, 1)
        self.bank = None if num_train is None else Bank(num_train, self.bits, self.num_classes)

    def _check_takes_references(self) -> None:
        super()._check_takes_references()
        if self.bank is not None:
            raise ValueError("ref_emb must be None for a loss that keeps a bank (num_train)")

    def _compute(self, batch: Batch) -> Terms:
        quantization = sign_error(batch.u, "sum" if self.reduction == "sum" else "mean")
        return Terms.sum_of(likelihood=self._likelihood(batch), quantization=self.quantization_weight * quantization)

    def _likelihood(self, batch: Batch) -> Tensor:
        u, columns = batch.u, self._columns(batch)
        labels = batch.labels if columns.labels.ndim == 1 else packed_classes(batch.labels, self.num_classes)
        positive, negative = pair_masks(labels, columns, slice(None))  # [N, C]
        theta = (self.scale * u) @ columns.emb.T  # [N, C]
        weight = self._triplet_weight(positive, negative)  # [N]
        total = _ops.triplet_likelihood(theta, positive, negative, weight, margin=self.margin)
        return total.to(u.dtype)

    def _columns(self, batch: Batch) -> Columns:
        """The items that triplets are made with."""
        if self.bank is None:
            if batch.ref_emb is not None and batch.ref_labels is not None:
                return Columns(batch.ref_emb, _ops.pack_labels(batch.ref_labels), None, None)
            own = torch.arange(len(batch.u), device=batch.u.device)
            return Columns(batch.u, _ops.pack_labels(batch.labels), None, own)
        eligible = self.bank.filled
        if self.training:
            indices = self.bank.check_indices(batch.indices, batch.u)
            self.bank.write(indices, batch.u, batch.labels)
            # Not a copy of before changed in place, which inductor of torch 2.13 takes for the mask of after.
            eligible = eligible.index_fill(0, indices, False)
        rows, counted = self.bank.draw(eligible, self.drawn)
        classes = self.bank.classes_beside(batch.labels)[rows]
        return Columns(self.bank.embeddings[rows].to(batch.u.dtype), classes, counted, None)

    def _triplet_weight(self, positive: Tensor, negative: Tensor) -> Tensor:
        """What each triplet of a query counts, float64 [N]."""
        # Sums of int64 would copy the masks to eight times their size.
        num_positive, num_negative = (mask.sum(dim=1, dtype=torch.int32) for mask in (positive, negative))
        triplets = num_positive.double() * num_negative
        if self.reduction == "sum":
            return torch.ones_like(triplets)
        if self.reduction == "triplets":
            return (1 / triplets.sum().clamp(min=1)).expand_as(triplets)
        return 1 / (triplets.clamp(min=1) * (triplets > 0).sum().clamp(min=1))
