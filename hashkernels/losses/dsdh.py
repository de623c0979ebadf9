"""Deep supervised discrete hashing."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from hashkernels import _ops
from hashkernels._validation import check_int, check_real, value_checks_enabled
from hashkernels.losses._bank import Bank
from hashkernels.losses._base import Batch, Presets, Terms
from hashkernels.losses._codes import code_error, code_sign
from hashkernels.losses._counting import CountingLoss
from hashkernels.losses._labels import unpack_classes
from hashkernels.losses._likelihood import PairLikelihoodLoss


class DSDHLoss(CountingLoss, PairLikelihoodLoss):
    """The likelihood of DPSH, with binary codes of the training set that are learned to classify it.

    The objective over the network, the codes ``B`` ({-1, +1} ``[num_train, bits]``) and a classifier ``W``
    ([bits, num_classes])::

        mean_ij (softplus(theta_ij) - s_ij theta_ij)  +  quantization_weight * mean_ik (b_ik - u_ik)^2
        and  mu |Y - B W|^2 + nu |W|^2 + eta |B - U|^2  for W and B given the network

    with ``theta_ij = u_i . u_j / 2``. The loss of a batch is the first line: the items against the bank ``U``, and
    against their own codes (in evaluation mode their signs). The second is lowered by `update_codes`, once for
    every ``num_train`` items seen in training (an epoch) unless ``update_every`` says otherwise: ``W`` in closed
    form, then ``B`` bit by bit, each bit of all items at once (discrete cyclic coordinate descent). A code begins
    as the sign of the first embedding of its item, and a bit whose update is undecided stays. Items are seen by every
    call in training mode, also under ``torch.no_grad()``; in evaluation mode bank and codes are only read.

    Args:
        bits: code length.
        num_classes: number of classes.
        num_train: number of training items; required. ``indices=`` is needed in training.
        quantization_weight: weight of the second term of the network's loss.
        mu: weight of the classification. (0.01, nu = 1, eta = 0.01 are those of a common port on CIFAR-10, with 5,
            5, 2 on ImageNet; another has 1, 1, 55.)
        nu: weight of the classifier's size.
        eta: weight of the distance between codes and embeddings when codes are updated.
        sweeps: passes over all bits in one update.
        update_every: number of items after which codes are updated; default ``num_train``; 0: only by `update_codes`,
            as a CUDA graph needs it, whose replays count no items, and ``torch.compile`` with ``fullgraph=True``.
        self_pairs: whether an item makes a pair with itself.
        skip_unfilled: leave out bank rows not written yet; else they count as zeros.

    Terms: ``likelihood``, ``quantization``.

    Source: Li, Sun, He and Tan, *Deep Supervised Discrete Hashing*, NeurIPS 2017.

    Example:
        >>> loss = DSDHLoss(16, num_classes=10, num_train=100)
        >>> u = torch.randn(4, 16, requires_grad=True)
        >>> loss(u, torch.arange(4), indices=torch.tensor([5, 1, 99, 3])).backward()
        >>> loss.codes[99].abs().tolist() == [1] * 16
        True
    """

    _settings = ("quantization_weight", "mu", "nu", "eta", "sweeps", "update_every", "self_pairs", "skip_unfilled")
    presets: ClassVar[Presets] = {
        "cifar10": {"mu": 0.01, "nu": 1.0, "eta": 0.01},
        "imagenet100": {"mu": 5.0, "nu": 5.0, "eta": 2.0},
    }
    bank: Bank
    codes: Tensor
    classifier: Tensor

    def __init__(
        self,
        bits: int,
        num_classes: int,
        *,
        num_train: int | None = None,
        quantization_weight: float = 0.1,
        mu: float = 0.01,
        nu: float = 1.0,
        eta: float = 0.01,
        sweeps: int = 1,
        update_every: int | None = None,
        self_pairs: bool = False,
        skip_unfilled: bool = True,
    ) -> None:
        if num_train is None:
            raise ValueError("num_train must be given: DSDHLoss keeps a code of every training item")
        super().__init__(bits, num_classes, num_train=num_train, self_pairs=self_pairs, skip_unfilled=skip_unfilled)
        self.quantization_weight = check_real("quantization_weight", quantization_weight, 0)
        self.mu = check_real("mu", mu, 1e-12)
        self.nu = check_real("nu", nu, 1e-12)
        self.eta = check_real("eta", eta, 0)
        self.sweeps = check_int("sweeps", sweeps, 1)
        self.update_every = num_train if update_every is None else check_int("update_every", update_every, 0)
        self.register_buffer("codes", -torch.ones(num_train, self.bits, dtype=torch.int8))
        self.register_buffer("classifier", torch.zeros(self.bits, self.num_classes))

    def _compute(self, batch: Batch) -> Terms:
        u = batch.u
        likelihood = self._pair_mean(batch).value
        if self.training and batch.indices is not None:
            target = self.codes.index_select(0, batch.indices.to(torch.int64)).to(u.dtype)
        else:
            target = code_sign(u)
        quantization = self.quantization_weight * code_error(u, target)
        if self.training:
            self._count_items(u, self.update_codes)
        return Terms.sum_of(likelihood=likelihood, quantization=quantization)

    @torch.no_grad()
    def _before_write(self, indices: Tensor, batch: Batch) -> None:
        """Codes of items that come for the first time."""
        seen = self.bank.filled.index_select(0, indices)
        if value_checks_enabled(seen) and bool(seen.all()):
            return
        signs, codes = code_sign(batch.u).to(torch.int8), self.codes.index_select(0, indices)
        self.codes.index_copy_(0, indices, torch.where(seen[:, None], codes, signs))

    @torch.no_grad()
    def update_codes(self) -> None:
        """Fit the classifier to the codes of all items seen, then move the codes, ``sweeps`` times over their bits.

        The objective ``mu |Y - B W|^2 + nu |W|^2 + eta |B - U|^2`` never rises. ``codes`` is another tensor afterwards:
        capture a CUDA graph that reads it anew.
        """
        filled = self.bank.filled.nonzero()[:, 0]
        if not len(filled):
            return
        # Halves are too coarse to solve with, and torch does not.
        dtype = torch.promote_types(self.classifier.dtype, torch.float32)
        u = self.bank.embeddings[filled].to(dtype)  # [n, bits]
        classes = self.bank.classes[filled]
        codes = self.codes[filled]
        b = codes.to(u.dtype)
        ridge = (self.nu / self.mu) * torch.eye(self.bits, dtype=u.dtype, device=u.device)
        factor = torch.linalg.cholesky(b.T @ b + ridge)
        if classes.ndim == 1:  # Y has a single 1 in each row
            code_sums = b.new_zeros(self.num_classes, self.bits).index_add_(0, classes, b)  # whole numbers, exact
            w = torch.cholesky_solve(code_sums.T, factor)  # [bits, C]
            classified = w.T.index_select(0, classes)  # Y W^T, [n, bits]
        else:
            y = unpack_classes(classes, self.num_classes).to(u.dtype)  # [n, C]
            w = torch.cholesky_solve(b.T @ y, factor)
            classified = y @ w.T
        pull = classified + (self.eta / self.mu) * u  # [n, bits]
        self.classifier.copy_(w)
        moved = _ops.discrete_descent(codes, pull, w @ w.T, self.sweeps)
        # Not in place: a backward pass that is still to come, of a compiled graph, has read the codes before. A tensor
        # made under inference_mode could never be written to outside of it.
        with torch.inference_mode(False):
            self.codes = self.codes.index_copy(0, filled, moved)
