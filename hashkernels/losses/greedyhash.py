"""GreedyHash: classification through the sign."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from hashkernels import _ops
from hashkernels._validation import check_choice, check_real
from hashkernels.losses._base import Batch, HashLoss, Presets, Terms
from hashkernels.losses._codes import ESTIMATORS, code_sign, through_sign
from hashkernels.losses._labels import cross_entropy


class GreedyHashLoss(HashLoss):
    """Cross-entropy of a linear classifier on the binary code, whose gradient passes the sign as if it were not there.

    With ``b = sgn(u)`` (so sgn(0) = -1) and a classifier ``W`` without bias::

        mean_i CE(W b_i, y_i)  +  quantization_weight * mean_ik |u_ik - b_ik|^3

    In the second term ``b`` is a constant. The authors' code writes it ``| |u_ik| - 1 |^3``, which has the same value
    and slope but where ``u`` is 0: autograd then gives no slope, here ``u`` is pulled to its code, -1.

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
        weight = self.quantization_weight / max(batch.u.numel(), 1)
        _ops.reverse_mode_only(batch.u)
        code, error = _SignAndError.apply(batch.u, self.estimator, weight)  # type: ignore[no-untyped-call]
        logits = functional.linear(code, self.classifier.weight.to(code.dtype))  # [N, C]
        return Terms.sum_of(classification=cross_entropy(logits, batch.labels), quantization=error)


class _SignAndError(torch.autograd.Function):
    """The code ``b`` of ``u``, and ``weight`` times the sum of ``|u - b|^3``. On few items most of the time of a
    formula goes into its nodes, so both share one."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, estimator: str, weight: float) -> tuple[Tensor, Tensor]:
        code = code_sign(u)
        error = u - code
        size = error.abs()
        ctx.estimator, ctx.weight = estimator, weight
        ctx.save_for_backward(u, error * size)
        return code, size.pow(3).sum() * weight

    @staticmethod
    def backward(ctx: Any, grad_code: Tensor, grad_error: Tensor) -> tuple[Tensor, None, None]:
        u, slope = ctx.saved_tensors
        through = through_sign(grad_code, u, ctx.estimator)
        grad = torch.addcmul(through, slope, grad_error, value=3 * ctx.weight)
        return _ops.first_order(grad, u, grad_code, grad_error), None, None
