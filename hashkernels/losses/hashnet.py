"""HashNet: hashing by continuation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from hashkernels import _ops
from hashkernels._validation import check_choice, check_int, check_real
from hashkernels.losses._base import Batch, Presets, Terms
from hashkernels.losses._fused import PairOp
from hashkernels.losses._labels import multi_hot, unpack_classes
from hashkernels.losses._likelihood import PairLikelihoodLoss
from hashkernels.losses._pair_sums import BALANCED, MEAN, Columns, Weighing


class HashNetLoss(PairLikelihoodLoss):
    """Class-balanced likelihood of pair labels under codes that harden while training goes on.

    With ``h = tanh(beta u)``, ``theta_ij = alpha h_i . h_j`` and ``s_ij`` = 1 for relevant pairs, else 0::

        1/|S| sum_ij w_ij (softplus(theta_ij) - s_ij theta_ij)

    where ``w_ij = c_ij |S| / |S_1|`` for the ``|S_1|`` relevant pairs and ``|S| / |S_0|`` for the others, so that both
    kinds weigh the same. For multi-label data ``c_ij`` is the share of common classes, ``|y_i and y_j| / |y_i or
    y_j|``; for all pairs it would take out every irrelevant one, so it weighs the relevant ones alone.

    ``beta = sqrt(1 + gamma * t)`` grows with the number ``t`` of training steps, renewed every ``interval`` steps. The
    count is a buffer, so that a resumed training goes on where it stopped. Every call in training mode counts, also
    under ``torch.no_grad()``, and none in evaluation mode.

    Args:
        bits: code length.
        num_classes: number of classes.
        num_train: keep a bank of so many items and compare the batch with it; needs ``indices=``.
        alpha: scale of the inner product; default: ``10 / bits`` as in the authors' code. Others use 0.1.
        gamma: growth of ``beta`` squared a step; 0 keeps it 1.
        interval: steps from one renewal of ``beta`` to the next.
        weighting: ``"balanced"`` (the formula above), ``"none"`` (all pairs weigh the same) or ``"positive"``:
            relevant pairs weigh ``positive_weight``, and the sum is divided by the sum of the weights, as in the
            authors' code.
        positive_weight: for ``weighting="positive"``; the authors take 100 on ImageNet, 5 on NUS-WIDE, 1 on COCO.
        overlap: whether ``c_ij`` is used, with any weighting; between class ids it is 1. The authors' PyTorch code
            has none.
        self_pairs: whether an item makes a pair with itself.
        skip_unfilled: leave out bank rows not written yet; else they count as zeros.

    Terms: ``likelihood``.

    Source: Cao, Long, Wang and Yu, *HashNet: Deep Learning to Hash by Continuation*, ICCV 2017.

    Example:
        >>> loss = HashNetLoss(32, num_classes=10)
        >>> u = torch.randn(8, 32, requires_grad=True)
        >>> loss(u, torch.arange(8) % 4).backward()
        >>> int(loss.steps), loss.beta().item()
        (1, 1.0)
    """

    _settings = (
        *("alpha", "gamma", "interval", "weighting", "positive_weight", "overlap"),
        *("self_pairs", "skip_unfilled"),
    )
    presets: ClassVar[Presets] = {
        name: {"weighting": "positive", "positive_weight": weight, "overlap": False}
        for name, weight in (("imagenet100", 100.0), ("nuswide81", 5.0), ("coco", 1.0))
    }
    steps: Tensor

    def __init__(
        self,
        bits: int,
        num_classes: int,
        *,
        num_train: int | None = None,
        alpha: float | None = None,
        gamma: float = 0.005,
        interval: int = 200,
        weighting: str = "balanced",
        positive_weight: float = 1.0,
        overlap: bool = True,
        self_pairs: bool = False,
        skip_unfilled: bool = True,
    ) -> None:
        super().__init__(bits, num_classes, num_train=num_train, self_pairs=self_pairs, skip_unfilled=skip_unfilled)
        self.alpha = 10 / self.bits if alpha is None else check_real("alpha", alpha, 0)
        self.gamma = check_real("gamma", gamma, 0)
        self.interval = check_int("interval", interval, 1)
        self.weighting = check_choice("weighting", weighting, ("balanced", "none", "positive"))
        self.positive_weight = check_real("positive_weight", positive_weight, 0)
        self.overlap = bool(overlap)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def beta(self) -> Tensor:
        """The present slope of the tanh, a scalar."""
        renewed = self.steps // self.interval * self.interval
        return (1 + self.gamma * renewed.double()).sqrt()

    def _activate(self, u: Tensor) -> Tensor:
        return torch.tanh(self.beta().to(u.dtype) * u)

    def _logit_scale(self) -> float:
        return self.alpha

    def _fused(self, batch: Batch) -> PairOp:
        if not self._weighs_overlap(batch):
            return super()._fused(batch)
        return partial(_ops.likelihood_loss, scale=self.alpha, overlap=True)

    def _weighs_overlap(self, batch: Batch) -> bool:
        """Whether pairs may have several classes in common: never where both sides have class ids."""
        packed = self.bank is not None and self.bank.classes.ndim == 2
        return self.overlap and (packed or batch.labels.ndim == 2)

    def _pair_weight(self, batch: Batch, columns: Columns) -> Callable[[slice], Tensor] | None:
        if not self._weighs_overlap(batch):
            return None
        rows = multi_hot(batch.labels, self.num_classes, batch.u.dtype)
        others = unpack_classes(columns.labels, self.num_classes).to(batch.u.dtype)
        other_sizes = others.sum(dim=1)

        def share_in_common(part: slice) -> Tensor:
            common = rows[part] @ others.T
            either = rows[part].sum(dim=1, keepdim=True) + other_sizes - common
            return torch.where(common > 0, common / either.clamp(min=1), 1)

        return share_in_common

    def _compute(self, batch: Batch) -> Terms:
        weighing = {"balanced": BALANCED, "none": MEAN, "positive": Weighing(self.positive_weight, 1.0)}[self.weighting]
        value = self._pair_mean(batch, weighing).value
        if self.training:
            self._count_step()
        return Terms.sum_of(likelihood=value)

    def _count_step(self) -> None:
        if not torch.compiler.is_compiling():
            self.steps += 1  # in place, so that the replays of a CUDA graph count
            return
        # Not in place: the backward pass of a compiled graph finds beta anew from the tensor that was read. A tensor
        # made under inference_mode could never be loaded into outside of it.
        with torch.inference_mode(False):
            self.steps = self.steps + 1
