"""OrthoHash: one loss for all, a cosine classifier with fixed binary centers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hashkernels._validation import check_int, check_real
from hashkernels.losses._base import Batch, HashLoss, Terms
from hashkernels.losses._centers import center_tensor, hadamard_or_random
from hashkernels.losses._codes import directions
from hashkernels.losses._labels import cross_entropy, multi_hot

_MAX_COSINE = 0.99999


class OrthoHashLoss(HashLoss):
    """Cross-entropy over cosines to fixed binary centers, with a margin on the cosines of an item's own classes.

    With ``cos_ic`` between ``u_i`` and the center of class ``c``::

        mean_i CE(scale * (cos_i - margin * y_i), y_i)

    Several classes of an item share its target probability evenly, and each has the margin. An embedding of zeros has
    no direction: its cosines are 0, and it gets no gradient. Put batch normalization after the hash layer, as the
    authors do: it balances the bits.

    Args:
        bits: code length.
        num_classes: number of classes.
        centers: -1/+1 ``[num_classes, bits]``. Default: rows of a Hadamard matrix, or random balanced words where
            there is none of that order or too few rows. The authors draw every bit by a fair coin.
        scale: inverse temperature.
        margin: taken off the cosine, or added to the angle with ``angular=True``.
        angular: take ``cos(angle + margin)`` instead of ``cos - margin``.
        seed: of the default centers.

    Terms: ``classification``.

    Source: Hoe et al., *One Loss for All: Deep Hashing with a Single Cosine Similarity based Learning Objective*,
    NeurIPS 2021.

    Example:
        >>> loss = OrthoHashLoss(16, num_classes=10)
        >>> value = loss(loss.centers[:4].float(), torch.arange(4))
        >>> round(value.item(), 4)  # log(1 + 9 exp(-8 * 0.8)) for orthogonal centers
        0.0148
    """

    uses_references = False
    _settings = ("scale", "margin", "angular", "seed")
    centers: Tensor

    def __init__(
        self,
        bits: int,
        num_classes: int,
        *,
        centers: Any = None,
        scale: float = 8.0,
        margin: float = 0.2,
        angular: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__(bits, num_classes)
        self.scale = check_real("scale", scale, 0)
        self.margin = check_real("margin", margin, 0)
        self.angular = bool(angular)
        self.seed = check_int("seed", seed, 0)
        if centers is None:
            values = hadamard_or_random(self.num_classes, self.bits, self.seed)
        else:
            values = center_tensor(centers, self.num_classes, self.bits)
        self.register_buffer("centers", values)

    def _compute(self, batch: Batch) -> Terms:
        dtype = batch.u.dtype
        unit = directions(batch.u)
        centers = self.centers.to(dtype).T  # [bits, C], of length sqrt(bits)
        own = multi_hot(batch.labels, self.num_classes, dtype)
        if self.angular:
            cosine = unit @ (centers / self.bits**0.5)
            angle = torch.acos(cosine.clamp(-_MAX_COSINE, _MAX_COSINE))
            logits = self.scale * torch.where(own > 0, torch.cos(angle + self.margin), cosine)
        else:
            logits = torch.addmm(own, unit, centers, beta=-self.scale * self.margin, alpha=self.scale / self.bits**0.5)
        return Terms.sum_of(classification=cross_entropy(logits, batch.labels))
