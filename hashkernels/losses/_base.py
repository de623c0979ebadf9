"""What every loss shares: checks, precision, the report of its terms."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from hashkernels._validation import (
    check_bits,
    check_choice,
    check_embeddings,
    check_int,
    check_same_device,
    value_checks_enabled,
)
from hashkernels.losses._labels import canonical_labels, same_form
from hashkernels.losses._precision import full_precision

Presets = Mapping[str, Mapping[str, Any | Callable[[int], Any]]]  # options by name; a function takes the code length


class Batch(NamedTuple):
    """Checked arguments of a loss: embeddings float32 or float64, labels ``int64 [N]`` or ``bool [N, num_classes]``."""

    u: Tensor  # [N, bits]
    labels: Tensor
    indices: Tensor | None  # as given: only a loss with a bank reads them
    ref_emb: Tensor | None  # [R, bits]; None: the batch is compared with itself
    ref_labels: Tensor | None  # of the same form as labels


class Packed(NamedTuple):
    """Detached terms in one tensor. Each as a tensor of its own costs more calls of torch than the loss of a small
    batch, and few steps of a training look at them."""

    names: tuple[str, ...]
    values: Tensor  # the terms come first
    dtype: torch.dtype  # of the scalars

    def by_name(self) -> dict[str, Tensor]:
        """Scalars of their own."""
        return dict(zip(self.names, self.values[: len(self.names)].to(self.dtype).unbind(), strict=True))


class Terms(NamedTuple):
    """A loss and the terms that it is the sum of."""

    total: Tensor
    parts: dict[str, Tensor] | Packed

    @classmethod
    def sum_of(cls, **terms: Tensor) -> Terms:
        """The plain sum of differentiable terms."""
        first, *others = terms.values()
        return cls(sum(others, start=first), terms)


@dataclass
class _Latest:
    """Where a loss keeps the terms of a call: an attribute of the module itself takes microseconds to set."""

    parts: dict[str, Tensor] | Packed


class HashLoss(nn.Module):
    """Base of all losses: ``loss(u, labels, *, indices=None, ref_emb=None, ref_labels=None)`` gives a scalar.

    A subclass computes the sum of its terms in `_compute`. Half-precision embeddings, and all embeddings under
    autocast, are computed with in float32; float64 stays float64. Gradients are of the first order, in reverse mode:
    values and slopes of most terms come from one pass, of which second derivatives, derivatives in forward mode and
    the transforms of ``torch.func`` raise ``RuntimeError``.

    Inner products, and squares of them, are formed in that precision: embeddings up to 1e7 in absolute value stay
    within float32 at any length. Of far larger ones a loss can be infinite or NaN, or, where directions alone count,
    wrong. Nothing looks for that, which small batches would feel: ``loss.isfinite()`` tells of most, float64 has room.

    What a loss keeps from batch to batch (a bank, codes, centers, votes, a count of steps) is in its state dict. In
    training mode every call renews it, also under ``torch.no_grad()``, like the running statistics of
    ``nn.BatchNorm1d``; after ``eval()`` it is only read. So call ``eval()`` before a validation loss, and ``train()``
    after it. ``torch.utils.checkpoint`` makes the call again in the backward pass, on what the first one renewed: leave
    such a loss out of it.

    Args:
        bits: code length, 1..4096.
        num_classes: number of classes.

    Attributes:
        presets: published settings by data set, or ``"authors"`` for what the authors' code does otherwise than the
            paper; see `preset`.
    """

    uses_references: ClassVar[bool] = True
    presets: ClassVar[Presets] = {}
    _settings: ClassVar[tuple[str, ...]] = ()

    def __init__(self, bits: int, num_classes: int) -> None:
        super().__init__()
        self.bits = check_bits(bits)
        self.num_classes = check_int("num_classes", num_classes, 1)
        self._latest = _Latest({})

    @property
    def last_terms(self) -> dict[str, Tensor]:
        """The terms of the latest call, detached scalars that add up to the loss."""
        parts = self._latest.parts
        return parts.by_name() if isinstance(parts, Packed) else parts

    def forward(
        self,
        u: Tensor,
        labels: Tensor,
        *,
        indices: Tensor | None = None,
        ref_emb: Tensor | None = None,
        ref_labels: Tensor | None = None,
    ) -> Tensor:
        """The loss of a batch.

        Args:
            u: embeddings before the sign, floating point of 16 bits or more, ``[N, bits]``.
            labels: class ids (integers ``[N]``) or multi-hot (0/1 of any real dtype, ``[N, num_classes]``). An item
                without a class is irrelevant to all others, and adds nothing to a term that has a center or a class as
                target.
            indices: positions of the items in the training set, integers ``[N]``; read by losses that keep a bank.
            ref_emb: embeddings ``[R, bits]`` to compare ``u`` with instead of with itself.
            ref_labels: their labels, given exactly when ``ref_emb`` is. Where ``ref_emb`` is the tensor ``u`` itself,
                the batch is compared with itself, without pairs of an item with itself, and these must be its labels.

        Returns:
            A scalar of dtype float32, or float64 for float64 embeddings. A term that has nothing to add up is zero.

        Raises:
            ValueError: a wrong shape, embeddings that are not finite, labels out of range. On CUDA values are looked at
                only after `hashkernels.validate`.
            TypeError: a wrong type or dtype.
        """
        batch = self._checked(u, labels, indices, ref_emb, ref_labels)
        with full_precision(batch.u):
            terms = self._compute(batch)
        return self._keep(terms)

    def _keep(self, terms: Terms) -> Tensor:
        """The total, after the terms were put down for who asks."""
        parts = terms.parts
        if not isinstance(parts, Packed):
            parts = {name: term.detach() for name, term in parts.items()}
        self._latest.parts = parts
        return terms.total

    @classmethod
    def preset(cls, name: str, bits: int) -> dict[str, Any]:
        """Published options of this loss: ``Loss(bits, num_classes, **Loss.preset(name, bits))``.

        Args:
            name: a key of ``presets``.
            bits: code length, on which some of them depend.

        Raises:
            ValueError: another name.

        Example:
            >>> from hashkernels.losses import TALRLoss
            >>> TALRLoss.preset("imagenet100", 32)
            {'num_bins': 16, 'slope': 10.0}
        """
        if not cls.presets:
            raise ValueError(f"preset must be None for {cls.__name__}, which has no presets, got {name!r}")
        check_choice("preset", name, tuple(cls.presets))
        check_bits(bits)
        return {option: value(bits) if callable(value) else value for option, value in cls.presets[name].items()}

    @abstractmethod
    def _compute(self, batch: Batch) -> Terms:
        """The loss on the graph of ``batch.u``, and its terms by name, weights included."""

    def extra_repr(self) -> str:
        names = ("bits", "num_classes", *self._settings)
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in names)

    def _checked(
        self, u: Tensor, labels: Tensor, indices: Tensor | None, ref_emb: Tensor | None, ref_labels: Tensor | None
    ) -> Batch:
        u_given = u
        u = check_embeddings("u", u, self.bits)
        labels = canonical_labels("labels", labels, u.shape[0], self.num_classes)
        check_same_device("u", u, "labels", labels)
        u = _computing_precision(u)
        if ref_emb is None and ref_labels is None:
            return Batch(u, labels, indices, None, None)
        self._check_takes_references()
        if ref_emb is None or ref_labels is None:
            raise ValueError("ref_emb and ref_labels must be given together")
        itself = ref_emb is u_given
        if not itself:
            ref_emb = check_embeddings("ref_emb", ref_emb, self.bits)
            check_same_device("u", u, "ref_emb", ref_emb)
        ref_labels = canonical_labels("ref_labels", ref_labels, ref_emb.shape[0], self.num_classes)
        check_same_device("u", u, "ref_labels", ref_labels)
        if itself:
            _check_same_classes(labels, ref_labels, self.num_classes)
            return Batch(u, labels, indices, None, None)
        labels, ref_labels = same_form(labels, ref_labels, self.num_classes)
        return Batch(u, labels, indices, ref_emb.to(u.dtype), ref_labels)

    def _check_takes_references(self) -> None:
        """Raise where the loss, with its options, has no use for ``ref_emb``."""
        if not self.uses_references:
            raise ValueError(f"ref_emb must be None: {type(self).__name__} does not compare items with each other")


def _check_same_classes(labels: Tensor, ref_labels: Tensor, num_classes: int) -> None:
    if not (value_checks_enabled(labels) and value_checks_enabled(ref_labels)):
        return
    first, second = same_form(labels, ref_labels, num_classes)
    if not torch.equal(first, second):
        item = int((first != second).reshape(len(first), -1).any(dim=1).nonzero()[0])
        raise ValueError(f"ref_labels must be labels where ref_emb is u, got others for item {item}")


def _computing_precision(u: Tensor) -> Tensor:
    return u if u.dtype in (torch.float32, torch.float64) else u.to(torch.float32)
