"""Deep balanced discrete hashing."""

from __future__ import annotations

from torch import Tensor

from hashkernels._validation import check_choice, check_int, check_real
from hashkernels.losses._base import Batch, Terms
from hashkernels.losses._codes import mean, straight_through_sign
from hashkernels.losses._likelihood import PairLikelihoodLoss


class DBDHLoss(PairLikelihoodLoss):
    """The likelihood of DPSH on clamped embeddings, with a term that balances the two values of the bits.

    With ``v = clamp(u, -1, 1)``, ``theta_ij = v_i . v_j / 2`` and ``s_ij`` = 1 for relevant pairs, else 0::

        mean_ij (softplus(theta_ij) - s_ij theta_ij)  +  balance_weight * mean_i |mean_k v_ik|^power

    This is the form that implementations have: the mean is over the bits of an item, so that each code has as many +1
    as -1. ``balance="samples"`` takes it over the items of the batch instead, for bits that are +1 as often as -1:
    ``balance_weight * mean_k |mean_i v_ik|^power``. Clamping stops the gradient of elements beyond 1.

    Args:
        bits: code length.
        num_classes: number of classes.
        num_train: keep a bank of so many items and compare the batch with it, as is usual; needs ``indices=``.
        balance_weight: weight of the second term.
        balance: ``"bits"`` or ``"samples"``: over what the mean inside the power runs.
        power: 2, or 1 for the absolute value.
        codes: ``"clamp"``, or ``"sign"``: ``v = sgn(u)``, whose gradient passes where ``|u| <= 1`` (a straight-through
            estimator, for discrete codes in training as the paper has them).
        self_pairs: whether an item makes a pair with itself.
        skip_unfilled: leave out bank rows not written yet; else they count as zeros.

    Terms: ``likelihood``, ``balance``.

    Source: Zheng, Zhang and Lu, *Deep Balanced Discrete Hashing for Image Retrieval*, Neurocomputing 2020; the default
    form follows what public implementations agree on.

    Example:
        >>> import torch
        >>> loss = DBDHLoss(4, num_classes=2, balance_weight=1.0)
        >>> value = loss(torch.tensor([[5.0, 5.0, 1.0, -1.0]]), torch.tensor([0]))
        >>> {name: term.item() for name, term in loss.last_terms.items()}
        {'likelihood': 0.0, 'balance': 0.25}
    """

    _settings = ("balance_weight", "balance", "power", "codes", "self_pairs", "skip_unfilled")

    def __init__(
        self,
        bits: int,
        num_classes: int,
        *,
        num_train: int | None = None,
        balance_weight: float = 0.1,
        balance: str = "bits",
        power: int = 2,
        codes: str = "clamp",
        self_pairs: bool = False,
        skip_unfilled: bool = True,
    ) -> None:
        super().__init__(bits, num_classes, num_train=num_train, self_pairs=self_pairs, skip_unfilled=skip_unfilled)
        self.balance_weight = check_real("balance_weight", balance_weight, 0)
        self.balance = check_choice("balance", balance, ("bits", "samples"))
        self.power = check_int("power", power, 1, 2)
        self.codes = check_choice("codes", codes, ("clamp", "sign"))

    def _activate(self, u: Tensor) -> Tensor:
        return u.clamp(-1, 1) if self.codes == "clamp" else straight_through_sign(u, "clip")

    def _compute(self, batch: Batch) -> Terms:
        values = self._activate(batch.u)
        over = 1 if self.balance == "bits" else 0
        means = values.sum(dim=over) / max(values.shape[over], 1)
        unbalance = means.square() if self.power == 2 else means.abs()
        return Terms.sum_of(
            likelihood=self._pair_mean(batch, rows=values).value, balance=self.balance_weight * mean(unbalance)
        )
