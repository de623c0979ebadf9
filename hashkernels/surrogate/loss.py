"""The wrapper that adds a surrogate posterior to any loss: the X_D of the LBHash paper."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

from hashkernels._validation import check_choice, check_int, check_real
from hashkernels.losses._base import Batch, HashLoss, Terms
from hashkernels.losses._centers import center_values, random_signs, target_codes
from hashkernels.losses._precision import full_precision
from hashkernels.surrogate.posterior import SurrogatePosterior

Update = Literal["joint", "alternating"]
MultiLabel = Literal["average", "sign"]


class SurrogateLoss(HashLoss):
    """``X_D``: a loss X, plus the surrogate posterior's pull of every code to the center of its class.

    With P the posterior (`SurrogatePosterior`), t the target code of an item, and both terms summed over the blocks of
    the code and averaged over the batch::

        base(u, labels)  +  weight * -log P(t | u)  +  -log P(sgn(u) | u)
                            the posterior held fixed   u held fixed: only the posterior learns

    One backward pass trains both. Step the optimiser of ``loss.parameters()`` (the posterior's, and those of the base
    loss if it has any) together with the network's, after the backward pass and not between two of them. With
    ``update="alternating"`` the last term is left out, and the posterior is trained by `posterior_loss` and an
    optimiser of its own before the step of the network, as in the paper's algorithm 1::

        posterior_optimizer.zero_grad()
        loss.posterior_loss(u).backward()
        posterior_optimizer.step()
        optimizer.zero_grad()
        loss(u, labels).backward()           # the same as loss.hash_loss(u, labels)
        optimizer.step()

    Args:
        base_loss: the loss X, or None for the target term alone.
        centers: -1/+1 [num_classes, bits]: a `hashkernels.centers.Codebook`, an array or a tensor.
        weight: of the target term. The paper does not give one.
        block_bits, hidden, dropout: of the posterior, see `SurrogatePosterior`.
        target_dropout: whether the target term drops hidden units in training as the posterior's own term does. True is
            the listing in the paper, and the faster: one pass then serves both terms.
        update: "joint" or "alternating", as above.
        multi_label: the target of an item of several classes: "average", the mean of the term over the centers of its
            classes, or "sign", the sign of the sum of these centers, where zeros take a fixed random bit.
        seed: of these random bits.

    Terms in ``last_terms``: those of the base loss, ``target`` (weight included) and, when joint, ``posterior``.

    Raises:
        ValueError: centers of a wrong shape, or holding something other than -1 and +1; a base loss of other ``bits``
            or ``num_classes``; an option out of its range.
        TypeError: ``base_loss`` is not a `HashLoss`.

    Source: Zhu et al., *A Lower Bound of Hash Codes' Performance*, NeurIPS 2022, Fig. 8 and appendices D, E. Weight,
    optimisers and dropout of the target term are not given there.

    Example:
        >>> import torch
        >>> from hashkernels.centers import hadamard_centers
        >>> from hashkernels.losses import CSQLoss
        >>> centers = hadamard_centers(10, 32)
        >>> loss = SurrogateLoss(CSQLoss(32, 10, centers=centers), centers)
        >>> u = torch.randn(6, 32, requires_grad=True)
        >>> loss(u, torch.arange(6)).backward()
        >>> sorted(loss.last_terms)
        ['center', 'posterior', 'quantization', 'target']
    """

    centers: Tensor
    tie_break: Tensor
    _settings = ("weight", "update", "multi_label", "target_dropout", "seed")

    def __init__(
        self,
        base_loss: HashLoss | None,
        centers: Any,
        *,
        weight: float = 0.2,
        block_bits: int = 8,
        hidden: int = 256,
        dropout: float = 0.5,
        target_dropout: bool = True,
        update: Update = "joint",
        multi_label: MultiLabel = "average",
        seed: int = 0,
    ) -> None:
        values = center_values(centers)
        num_classes, bits = values.shape
        super().__init__(bits, num_classes)
        if base_loss is not None:
            if not isinstance(base_loss, HashLoss):
                raise TypeError(f"base_loss must be a HashLoss or None, got {type(base_loss).__name__}")
            if (base_loss.num_classes, base_loss.bits) != (num_classes, bits):
                raise ValueError(
                    f"centers must have shape [num_classes={base_loss.num_classes}, bits={base_loss.bits}] "
                    f"for this base_loss, got {(num_classes, bits)}"
                )
        self.base_loss = base_loss
        self.weight = check_real("weight", weight, 0)
        self.target_dropout = bool(target_dropout)
        self.update = check_choice("update", update, ("joint", "alternating"))
        self.multi_label = check_choice("multi_label", multi_label, ("average", "sign"))
        self.posterior = SurrogatePosterior(bits, block_bits=block_bits, hidden=hidden, dropout=dropout)
        self.register_buffer("centers", values)
        self.seed = check_int("seed", seed, 0)
        self.register_buffer("tie_break", random_signs((bits,), self.seed))

    @property
    def uses_references(self) -> bool:  # type: ignore[override]
        """Whether the base loss compares items with ``ref_emb``."""
        return self.base_loss is not None and self.base_loss.uses_references

    def _check_takes_references(self) -> None:
        super()._check_takes_references()
        if self.base_loss is not None:
            self.base_loss._check_takes_references()

    def posterior_loss(self, u: Tensor) -> Tensor:
        """The posterior's own term, a scalar; no gradient reaches ``u`` (float [N, bits])."""
        return self.posterior.nll(u.detach())

    def hash_loss(
        self,
        u: Tensor,
        labels: Tensor,
        *,
        indices: Tensor | None = None,
        ref_emb: Tensor | None = None,
        ref_labels: Tensor | None = None,
    ) -> Tensor:
        """Base and target terms, a scalar; no gradient reaches the posterior. Arguments as for calling the loss."""
        batch = self._checked(u, labels, indices, ref_emb, ref_labels)
        with full_precision(batch.u):
            terms = self._terms(batch, joint=False)
        return self._keep(terms)

    def _compute(self, batch: Batch) -> Terms:
        return self._terms(batch, joint=self.update == "joint")

    def _terms(self, batch: Batch, *, joint: bool) -> Terms:
        target, posterior = self._surrogate_terms(batch, joint=joint)
        own = {"target": self.weight * target}
        if posterior is not None:
            own["posterior"] = posterior
        total = Terms.sum_of(**own).total
        if self.base_loss is None:
            return Terms(total, own)
        base = self.base_loss(
            batch.u, batch.labels, indices=batch.indices, ref_emb=batch.ref_emb, ref_labels=batch.ref_labels
        )
        return Terms(base + total, {**self.base_loss.last_terms, **own})

    def _surrogate_terms(self, batch: Batch, *, joint: bool) -> tuple[Tensor, Tensor | None]:
        """The target term without its weight, and the posterior's own term where it is asked for."""
        u, labels = batch.u, batch.labels
        dropout = self.posterior.training and self.target_dropout
        one_pass = joint and dropout == self.posterior.training
        if labels.ndim == 2 and self.multi_label == "average":
            positive = labels.to(u.dtype)
            shares = positive / positive.sum(1, keepdim=True).clamp(min=1)
            if one_pass and self.num_classes <= 1 << self.posterior.block_bits:  # else the table takes less
                posterior, target = self.posterior.shared_nll(u, self.centers, shares)
                return target, posterior
            table = self.posterior.log_prob_table(u, self.centers, freeze=True, dropout=dropout)
            target = -(table * shares).sum() / max(u.shape[0], 1)
        else:
            codes = target_codes(self.centers, self.tie_break, labels)
            weight = None if labels.ndim == 1 else labels.any(dim=1)
            if one_pass:
                posterior, target = self.posterior.split_nll(u, codes, weight)
                return target, posterior
            target = self.posterior.nll(u, codes, weight, freeze=True, dropout=dropout)
        return target, self.posterior_loss(u) if joint else None
