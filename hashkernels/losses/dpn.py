"""Deep polarized network."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hashkernels import _ops
from hashkernels._validation import check_choice, check_int, check_real
from hashkernels.losses._base import Batch, Terms
from hashkernels.losses._centers import center_tensor, random_signs, target_codes
from hashkernels.losses._codes import code_sign, mean
from hashkernels.losses._counting import CountingLoss
from hashkernels.losses._labels import multi_hot


class DPNLoss(CountingLoss):
    """Polarization: every element of an embedding beyond a margin, on the side of its class's center.

    With the center ``t`` of the item's class::

        mean_i sum_k max(0, margin - t_ik u_ik)

    With ``update_every`` the centers follow the codes: they become the majority of the codes of their classes, which
    the paper offers beside fixed centers. A class without items keeps its center, an undecided bit its value. Every
    call in training mode counts, also under ``torch.no_grad()``, and none in evaluation mode.

    Args:
        bits: code length.
        num_classes: number of classes.
        centers: -1/+1 ``[num_classes, bits]``. Default: every bit drawn by a fair coin, as in the paper.
        margin: the paper's m.
        multi_label: for an item of several classes, ``"sum"``: the sum over its classes' centers (the authors'), or
            ``"majority"``: one target, the sign of the sum of their centers, with ties filled by stored bits.
        update_every: number of items seen in training after which centers are updated, such as that of the training
            set; 0: only by `update_centers`, as a CUDA graph needs it, whose replays count no items, and
            ``torch.compile`` with ``fullgraph=True``; None: the centers stay.
        seed: of the default centers and of those bits.

    Terms: ``polarization``.

    Source: Fan, Ng, Ju, Zhang and Chan, *Deep Polarized Network for Supervised Learning of Accurate Binary Hashing
    Codes*, IJCAI 2020. Ternary codes, which the paper uses in retrieval, are no part of training.

    Example:
        >>> import torch
        >>> loss = DPNLoss(4, num_classes=2, centers=[[1, 1, 1, 1], [-1, -1, 1, 1]])
        >>> loss(torch.tensor([[2.0, 1.0, 0.5, -1.0]]), torch.tensor([0])).item()
        2.5
    """

    uses_references = False
    _settings = ("margin", "multi_label", "update_every", "seed")
    centers: Tensor
    votes: Tensor
    tie_break: Tensor

    def __init__(
        self,
        bits: int,
        num_classes: int,
        *,
        centers: Any = None,
        margin: float = 1.0,
        multi_label: str = "sum",
        update_every: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(bits, num_classes)
        self.margin = check_real("margin", margin, 0)
        self.multi_label = check_choice("multi_label", multi_label, ("sum", "majority"))
        self.update_every = None if update_every is None else check_int("update_every", update_every, 0)
        self.seed = check_int("seed", seed, 0)
        if centers is None:
            values = random_signs((self.num_classes, self.bits), self.seed)
        else:
            values = center_tensor(centers, self.num_classes, self.bits)
        self.register_buffer("centers", values)
        self.register_buffer("tie_break", random_signs((self.bits,), self.seed))
        self.register_buffer("votes", torch.zeros(self.num_classes, self.bits, dtype=torch.int64))

    @torch.no_grad()
    def update_centers(self) -> None:
        """Move the centers to the majority of the codes seen in training since the last update."""
        self.centers.copy_(torch.where(self.votes == 0, self.centers, self.votes.sign()))
        self.votes.zero_()

    def _compute(self, batch: Batch) -> Terms:
        terms = Terms.sum_of(polarization=self._polarization(batch))
        if self.training and self.update_every is not None:
            self._count(batch)
        return terms

    @torch.no_grad()
    def _count(self, batch: Batch) -> None:
        votes = multi_hot(batch.labels, self.num_classes, batch.u.dtype).T @ code_sign(batch.u)
        self.votes += votes.to(torch.int64)
        self._count_items(batch.u, self.update_centers)

    def _polarization(self, batch: Batch) -> Tensor:
        u = batch.u
        if batch.labels.ndim == 1 or self.multi_label == "majority":
            targets = target_codes(self.centers, self.tie_break, batch.labels)
            hinge = _ops.ElementTerm("hinge", 1.0, self.margin)
            return _ops.element_loss(u, hinge, targets=targets, divisor=len(u)).total
        hot = multi_hot(batch.labels, self.num_classes, u.dtype)
        positive = hot @ (self.centers > 0).to(u.dtype)  # [N, bits]: centers of the item with +1 there
        negative = hot.sum(dim=1, keepdim=True) - positive
        sums = positive * (self.margin - u).clamp(min=0) + negative * (self.margin + u).clamp(min=0)
        return mean(sums) * self.bits
