"""Error correction maximization: a margin loss whose margin comes from coding theory."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from typing import Any, ClassVar

import torch
from torch import Tensor

from hashkernels import _ops
from hashkernels._validation import check_choice, check_real
from hashkernels._warnings import warn
from hashkernels.centers import bounds
from hashkernels.losses._base import Batch, HashLoss, Packed, Presets, Terms
from hashkernels.losses._class_centers import UPDATES, ClassCenters
from hashkernels.losses._codes import sign_error
from hashkernels.losses._fused import against
from hashkernels.losses._labels import multi_hot

MARGINS = ("ecm", "hamming", "plotkin", "tightest", "gv")
NORMALIZERS = ("alpha", "alpha_clamped", "bits")
_LEAST_ALPHA = 1e-6


class ECMLoss(HashLoss):
    """Inner products of relevant pairs up to ``bits``, those of irrelevant pairs down to a margin ``alpha``.

    Over all ordered pairs ``i != j`` of the batch, ``P`` of them relevant and ``Q`` not, with ``theta = u_i . u_j``::

        1/P sum_relevant   min(0, theta - bits)^2  / bits^2
      + 1/Q sum_irrelevant max(0, theta - alpha)^2 / normalizer^2
      + quantization_weight * sum_n |sgn(u_n) - u_n|^2

    A sum over no pairs is zero. The quantization term is a sum over samples and bits, as in the paper: it grows with
    the batch. Value and gradient of the pair terms come from one pass over tiles of inner products, without a
    matrix of all pairs, so there is no second derivative.

    Choosing the margin. ``alpha = bits - 2 d``, where ``d`` is the distance asked between classes:

    - ``"ecm"``: the paper's ``d*``, one more than the Hamming bound. No set of codes reaches it, so the term never
      becomes zero: it is a pull, and the paper's tables use it on pretrained networks.
    - ``"hamming"``: the greatest distance that the Hamming bound allows.
    - ``"plotkin"``: the greatest possible average distance, a real number that codes do reach for few classes.
      Networks trained from scratch learn far better with it (mAP 0.85 against 0.67 at 32 bits on a Fashion-MNIST
      subset). With more classes than bits it is close to zero: then choose another normalizer, or ``"ecm"``.
    - ``"tightest"``: the tightest known bound on the least distance, an integer, with its linear program where scipy
      is installed. It is what `hashkernels.centers.best_centers` is measured against.
    - ``"gv"``: the Gilbert-Varshamov bound, a distance that random codes have.
    - a number: ``alpha`` itself.

    Put batch normalization after the hash layer of a network that starts from scratch: without it the summed
    quantization term freezes the signs of the first step, and all items get one code.

    The class-wise strategy (``classwise=True``) compares items with one center code a class instead of with each
    other: an item with the centers of the classes that it does not have, in ``num_items * num_classes`` products.
    The paper leaves open how the centers are kept; every choice is an option here. Classes not seen yet are left
    out. In training mode every call moves the centers, also under ``torch.no_grad()``; in evaluation mode none moves.

    Args:
        bits: code length.
        num_classes: number of classes, at least 2 (with multi-label data a heuristic: the paper is single-label).
        margin: ``"ecm"``, ``"hamming"``, ``"plotkin"``, ``"tightest"``, ``"gv"``, or ``alpha`` in ``-bits..bits``.
        quantization_weight: the paper's lambda; it uses 0.002 (CIFAR-10) and 0.01 (ImageNet-100).
        classwise: compare with class centers.
        normalizer: what irrelevant pairs are divided by: ``"alpha"`` (the paper's; impossible where alpha is 0, and a
            term that dwarfs the other where it is near 0), ``"alpha_clamped"`` (``max(|alpha|, 1)``) or ``"bits"``.
        positives: with ``classwise``, what relevant pairs are: ``"center"`` (an item and the center of a class of its
            own) or ``"images"`` (two items, as without ``classwise``).
        centers: with ``classwise``, the centers to begin with, -1/+1 ``[num_classes, bits]``, or ``"batch_mean"``: the
            mean of the first items seen of each class.
        center_update: ``"center_loss"`` (``c += rate * sum(u - c) / (1 + n)``), ``"ema"`` (``c += rate * (mean - c)``)
            or ``"majority"`` (bitwise majority of the codes since `reset_votes`).
        center_rate: that rate, in 0..1; ``"majority"`` has none.
        binarize_centers: compare with the sign of the centers.

    Terms: ``positive``, ``negative``, ``quantization``.

    Raises:
        ValueError: alpha is 0 and ``normalizer="alpha"``, which would divide by it; centers of a wrong shape; a number
            out of its range.

    Warns:
        HashkernelsWarning: a named margin gives an alpha between -1 and 1, and ``normalizer="alpha"``; Plotkin's does
            where there are more classes than bits.

    Source: Xu, Wang and Kitani, *Error Correction Maximization for Deep Image Hashing*, BMVC 2018, equations 6, 8
    and 9.

    Example:
        >>> loss = ECMLoss(32, num_classes=10)
        >>> loss.alpha
        -18.0
        >>> u = torch.ones(4, 32, requires_grad=True)
        >>> value = loss(u, torch.tensor([0, 0, 1, 1]))
        >>> round(value.item(), 4)  # ((32 + 18) / 18)^2: the pairs that should differ do not
        7.716
    """

    _settings = ("margin", "alpha", "quantization_weight", "normalizer", "classwise", "positives", "binarize_centers")
    presets: ClassVar[Presets] = {
        "cifar10": {"quantization_weight": 0.002},
        "imagenet100": {"quantization_weight": 0.01},
    }
    centers: ClassCenters | None

    def __init__(
        self,
        bits: int,
        num_classes: int,
        *,
        margin: str | float = "ecm",
        quantization_weight: float = 0.002,
        classwise: bool = False,
        normalizer: str = "alpha",
        positives: str = "center",
        centers: Any = "batch_mean",
        center_update: str = "center_loss",
        center_rate: float = 0.5,
        binarize_centers: bool = True,
    ) -> None:
        super().__init__(bits, num_classes)
        self.margin = margin
        self.alpha = margin_of(self.bits, self.num_classes, margin)
        self.quantization_weight = check_real("quantization_weight", quantization_weight, 0)
        self.normalizer = check_choice("normalizer", normalizer, NORMALIZERS)
        self.positive_scale = 1 / self.bits**2
        self.negative_scale = 1 / self._divisor() ** 2
        self.classwise = bool(classwise)
        self.positives = check_choice("positives", positives, ("center", "images"))
        self.binarize_centers = bool(binarize_centers)
        check_choice("center_update", center_update, UPDATES)
        check_real("center_rate", center_rate, 0, 1)
        self.centers = None
        if self.classwise:
            if isinstance(centers, str):
                check_choice("centers", centers, ("batch_mean",))
                centers = None
            self.centers = ClassCenters(self.num_classes, self.bits, centers, center_update, center_rate)

    def reset_votes(self) -> None:
        """Forget the votes behind ``center_update="majority"``; called each epoch, the majority is the epoch's."""
        if self.centers is None or self.centers.votes is None:
            raise ValueError('reset_votes needs classwise=True and center_update="majority"')
        self.centers.votes.zero_()

    def _check_takes_references(self) -> None:
        super()._check_takes_references()
        if self.classwise and self.positives == "center":
            raise ValueError('ref_emb must be None with classwise=True and positives="center", which compares no items')

    def _compute(self, batch: Batch) -> Terms:
        if self.centers is None:
            return self._pair_terms(batch, self.negative_scale, self.quantization_weight)
        positive, negative = self._center_terms(batch, self.centers)
        quantization = self.quantization_weight * sign_error(batch.u, "sum")
        return Terms.sum_of(positive=positive, negative=negative, quantization=quantization)

    def _pair_terms(self, batch: Batch, negative_scale: float, quantization: float) -> Terms:
        u, labels = batch.u, _ops.pack_labels(batch.labels)
        loss = partial(
            _ops.margin_loss,
            positive_margin=self.bits,
            negative_margin=self.alpha,
            positive_scale=self.positive_scale,
            negative_scale=negative_scale,
        )
        if batch.ref_emb is None or batch.ref_labels is None:
            result = loss(u, labels, quantization=quantization)
        else:
            ref_labels = _ops.pack_labels(batch.ref_labels)
            result = against(loss, u, labels, batch.ref_emb, ref_labels, quantization=quantization)
        return Terms(result.total, Packed(("positive", "negative", "quantization"), result.sums, u.dtype))

    def _center_terms(self, batch: Batch, centers: ClassCenters) -> tuple[Tensor, Tensor]:
        """Of the relevant and of the irrelevant pairs."""
        membership = multi_hot(batch.labels, self.num_classes, batch.u.dtype)  # [N, M]
        items = batch.u.detach()
        if self.training:
            centers.start(items, membership)
        theta = batch.u @ centers.codes(batch.u.dtype, binary=self.binarize_centers).T  # [N, M]
        own = (membership > 0) & centers.known
        other = (membership == 0) & centers.known
        excess = torch.where(other, theta - self.alpha, 0).clamp(min=0)
        negative = self.negative_scale * excess.square().sum() / other.sum().clamp(min=1)
        if self.positives == "images":
            positive = self._pair_terms(batch, 0.0, 0.0).total
        else:
            short = torch.where(own, theta - self.bits, 0).clamp(max=0)
            positive = self.positive_scale * short.square().sum() / own.sum().clamp(min=1)
        if self.training:
            centers.update(items, membership)
        return positive, negative

    def _divisor(self) -> float:
        if self.normalizer == "bits":
            return float(self.bits)
        if self.normalizer == "alpha_clamped":
            return max(abs(self.alpha), 1.0)
        source = f"margin={self.margin!r} makes it for bits={self.bits} and num_classes={self.num_classes}"
        if abs(self.alpha) < _LEAST_ALPHA:
            raise ValueError(
                f'normalizer must be "alpha_clamped" or "bits" where alpha is zero, as {source}: got "alpha", which '
                "would divide by it"
            )
        if isinstance(self.margin, str) and abs(self.alpha) < 1:
            warn(
                f"alpha is {self.alpha:.3g}, as {source}: divided by its square, the term of irrelevant pairs drowns "
                'the others; take normalizer="alpha_clamped" or "bits", or margin="ecm"'
            )
        return abs(self.alpha)


def margin_of(bits: int, num_classes: int, margin: str | float) -> float:
    """The inner product ``alpha`` below which irrelevant pairs are left alone."""
    if not isinstance(margin, str):
        return check_real("margin", margin, -bits, bits)
    check_choice("margin", margin, MARGINS)
    if margin == "ecm":
        return float(bounds.ecm_margin(bits, num_classes))
    if margin == "plotkin":
        return bounds.plotkin_margin(bits=bits, num_classes=num_classes)
    if margin == "tightest":
        return float(
            bits
            - 2
            * bounds.tightest_distance(
                bits=bits, num_classes=num_classes, linear_program=find_spec("scipy") is not None
            )
        )
    distance = bounds.hamming_bound_distance if margin == "hamming" else bounds.gilbert_varshamov_distance
    return float(bits - 2 * distance(bits=bits, num_classes=num_classes))
