"""Deep hashing network."""

from __future__ import annotations

from hashkernels import _ops
from hashkernels._validation import check_choice, check_real
from hashkernels.losses._base import Batch, Terms
from hashkernels.losses._likelihood import PairLikelihoodLoss


class DHNLoss(PairLikelihoodLoss):
    """Logistic likelihood of pair labels, with a smooth pull of every bit to -1 or +1.

    With ``theta_ij = scale * u_i . u_j`` and ``s_ij`` = 1 for relevant pairs, else 0::

        mean_ij (softplus(theta_ij) - s_ij theta_ij)  +  quantization_weight * mean_ik log cosh(|u_ik| - 1)

    Args:
        bits: code length.
        num_classes: number of classes.
        num_train: keep a bank of so many items and compare the batch with it; needs ``indices=``.
        quantization_weight: weight of the second term, for the chosen reduction.
        scale: of the inner product. 0.5 as in DPSH and in common implementations.
        reduction: ``"mean"``, or ``"sum"`` for sums in place of both means, as the paper writes them.
        self_pairs: whether an item makes a pair with itself.
        skip_unfilled: leave out bank rows not written yet; else they count as zeros.

    Terms: ``likelihood``, ``quantization``.

    Source: Zhu, Long, Wang and Cao, *Deep Hashing Network for Efficient Similarity Retrieval*, AAAI 2016.

    Example:
        >>> import torch
        >>> loss = DHNLoss(16, num_classes=10, quantization_weight=1.0)
        >>> round(loss(torch.zeros(2, 16), torch.tensor([1, 2])).item(), 4)  # log 2 + log cosh 1
        1.1269
    """

    _settings = ("quantization_weight", "scale", "reduction", "self_pairs", "skip_unfilled")

    def __init__(
        self,
        bits: int,
        num_classes: int,
        *,
        num_train: int | None = None,
        quantization_weight: float = 0.1,
        scale: float = 0.5,
        reduction: str = "mean",
        self_pairs: bool = False,
        skip_unfilled: bool = True,
    ) -> None:
        super().__init__(bits, num_classes, num_train=num_train, self_pairs=self_pairs, skip_unfilled=skip_unfilled)
        self.quantization_weight = check_real("quantization_weight", quantization_weight, 0)
        self.scale = check_real("scale", scale, 0)
        self.reduction = check_choice("reduction", reduction, ("mean", "sum"))

    def _logit_scale(self) -> float:
        return self.scale

    def _compute(self, batch: Batch) -> Terms:
        pairs = self._pair_mean(batch)
        likelihood, divisor = pairs.value, 1
        if self.reduction == "sum":
            likelihood = likelihood * pairs.num_pairs
        else:
            divisor = batch.u.numel()
        log_cosh = _ops.ElementTerm("log_cosh", self.quantization_weight)
        error = _ops.element_loss(batch.u, log_cosh, divisor=divisor).total
        return Terms.sum_of(likelihood=likelihood, quantization=error)
