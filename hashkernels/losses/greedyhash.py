"""GreedyHash: classification through the sign."""

from __future__ import annotations

from typing import ClassVar

from torch import nn
from torch.nn import functional

from hashkernels._validation import check_choice, check_real
from hashkernels.losses._base import Batch, HashLoss, Presets, Terms
from hashkernels.losses._codes import ESTIMATORS, mean, straight_through_sign
from hashkernels.losses._labels import cross_entropy


class GreedyHashLoss(HashLoss):
    """Cross-entropy of a linear classifier on the binary code, whose gradient passes the sign as if it were not there.

    With ``b = sgn(u)`` (so sgn(0) = -1) and a classifier ``W`` without bias::

        mean_i CE(W b_i, y_i)  +  quantization_weight * mean_ik | |u_ik| - 1 |^3

    Several classes of an item share its target probability evenly. ``W`` is a parameter of the loss: give
    ``loss.parameters()`` to the optimizer too, and move the loss to the device of the model.

    Args:
        bits: code length.
        num_classes: number of classes.
        quantization_weight: the paper's alpha: 0.1 (CIFAR-10) or 1 (ImageNet).
        estimator: the gradient given to the sign: ``"identity"`` (the paper's), ``"clip"`` (zero where ``|u| > 1``) or
            ``"tanh"`` (that of ``tanh u``).

    Terms: ``classification``, ``quantization``.

    Source: Su, Zhang, Han and Tian, *Greedy Hash: Towards Fast Optimization for Accurate Hash Coding in CNN*,
    NeurIPS 2018.

    Example:
        >>> import torch
        >>> loss = GreedyHashLoss(16, num_classes=10)
        >>> [tuple(p.shape) for p in loss.parameters()]
        [(10, 16)]
        >>> u = torch.randn(4, 16, requires_grad=True)
        >>> loss(u, torch.arange(4)).backward()
        >>> bool(u.grad.abs().sum() > 0)
        True
    """

    uses_references = False
    _settings = ("quantization_weight", "estimator")
    presets: ClassVar[Presets] = {"cifar10": {"quantization_weight": 0.1}, "imagenet100": {"quantization_weight": 1.0}}

    def __init__(
        self, bits: int, num_classes: int, *, quantization_weight: float = 0.1, estimator: str = "identity"
    ) -> None:
        super().__init__(bits, num_classes)
        self.quantization_weight = check_real("quantization_weight", quantization_weight, 0)
        self.estimator = check_choice("estimator", estimator, ESTIMATORS)
        self.classifier = nn.Linear(self.bits, self.num_classes, bias=False)

    def _compute(self, batch: Batch) -> Terms:
        code = straight_through_sign(batch.u, self.estimator)
        logits = functional.linear(code, self.classifier.weight.to(code.dtype))  # [N, C]
        cubic = (batch.u.abs() - 1).abs().pow(3)
        return Terms.sum_of(
            classification=cross_entropy(logits, batch.labels), quantization=self.quantization_weight * mean(cubic)
        )
