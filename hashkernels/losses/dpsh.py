"""Deep pairwise-supervised hashing."""

from __future__ import annotations

from typing import ClassVar

from hashkernels._validation import check_choice, check_real
from hashkernels.losses._base import Batch, Presets, Terms
from hashkernels.losses._codes import sign_error
from hashkernels.losses._likelihood import PairLikelihoodLoss


class DPSHLoss(PairLikelihoodLoss):
    """Logistic likelihood of pair labels under inner products of embeddings, with a pull to the sign.

    With ``theta_ij = u_i . u_j / 2`` and ``s_ij`` = 1 for relevant pairs, else 0::

        mean_ij (softplus(theta_ij) - s_ij theta_ij)  +  quantization_weight * mean_ik (sgn(u_ik) - u_ik)^2

    The paper has sums for both means (``reduction="sum"``): with ``P`` pairs and ``n`` samples of ``bits`` bits, its
    weight ``eta`` is ``quantization_weight = eta * n * bits / P`` here. The authors' code uses a bank of ``num_train``
    items and ``eta = 10`` at 48 bits and 5,000 items, which is 0.096.

    Args:
        bits: code length.
        num_classes: number of classes.
        num_train: keep a bank of so many items and compare the batch with it (as the authors do); needs ``indices=``.
        quantization_weight: weight of the second term, for the chosen reduction.
        reduction: ``"mean"`` or ``"sum"``.
        self_pairs: whether an item makes a pair with itself, as in the authors' code.
        skip_unfilled: leave out bank rows not written yet; else they count as zeros, as in the authors' code.

    Terms: ``likelihood``, ``quantization``.

    Source: Li, Wang and Kang, *Feature Learning based Deep Supervised Hashing with Pairwise Labels*, IJCAI 2016.

    Example:
        >>> import torch
        >>> loss = DPSHLoss(16, num_classes=10, num_train=100)
        >>> u = torch.zeros(4, 16, requires_grad=True)
        >>> value = loss(u, torch.tensor([3, 3, 1, 2]), indices=torch.tensor([7, 0, 99, 5]))
        >>> round(value.item(), 4)  # log 2 a pair, and 0.1 * 1
        0.7931
    """

    _settings = ("quantization_weight", "reduction", "self_pairs", "skip_unfilled")
    # eta = 10 with a bank of 5,000 items, in the terms of the mean.
    presets: ClassVar[Presets] = {
        "cifar10": {
            "quantization_weight": lambda bits: 10 * bits / 5000,
            "self_pairs": True,
            "skip_unfilled": False,
        }
    }

    def __init__(
        self,
        bits: int,
        num_classes: int,
        *,
        num_train: int | None = None,
        quantization_weight: float = 0.1,
        reduction: str = "mean",
        self_pairs: bool = False,
        skip_unfilled: bool = True,
    ) -> None:
        super().__init__(bits, num_classes, num_train=num_train, self_pairs=self_pairs, skip_unfilled=skip_unfilled)
        self.quantization_weight = check_real("quantization_weight", quantization_weight, 0)
        self.reduction = check_choice("reduction", reduction, ("mean", "sum"))

    def _compute(self, batch: Batch) -> Terms:
        pairs = self._pair_mean(batch)
        likelihood = pairs.value * pairs.num_pairs if self.reduction == "sum" else pairs.value
        return Terms.sum_of(
            likelihood=likelihood, quantization=self.quantization_weight * sign_error(batch.u, self.reduction)
        )
