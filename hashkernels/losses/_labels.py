"""Labels as the losses use them: class ids ``int64 [N]`` or multi-hot ``bool [N, num_classes]``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from hashkernels import _ops
from hashkernels._validation import check_labels

NO_CLASS = -1  # as a class id, of a row of a bank that is not written yet


def canonical_labels(name: str, labels: Any, num_items: int, num_classes: int) -> Tensor:
    """Checked labels, as ``int64 [N]`` or ``bool [N, num_classes]``; a row may be without a class."""
    checked = check_labels(name, labels, num_items, num_classes)
    if checked.ndim == 2:
        return checked != 0
    return checked if checked.dtype == torch.int64 else checked.to(torch.int64)


def multi_hot(labels: Tensor, num_classes: int, dtype: torch.dtype) -> Tensor:
    """``[N, num_classes]`` of 0 and 1, from either form."""
    if labels.ndim == 2:
        return labels.to(dtype)
    classes = torch.arange(num_classes, device=labels.device)
    return (labels[:, None] == classes).to(dtype)


def same_form(first: Tensor, second: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Both as class ids, or both as multi-hot."""
    if first.ndim == second.ndim:
        return first, second
    return multi_hot(first, num_classes, torch.bool), multi_hot(second, num_classes, torch.bool)


def relevance(rows: Tensor, columns: Tensor) -> Tensor:
    """bool ``[R, C]``: whether two items share a class.

    Either side is class ids ``int64 [N]`` or packed classes ``int64 [N, W]`` (see ``_ops.pack_labels``); class ids may
    meet packed classes only in this order.
    """
    if columns.ndim == 1:
        return rows[:, None] == columns
    if rows.ndim == 1:
        return (columns.T[rows // 64] >> (rows % 64)[:, None]) & 1 != 0
    shared = torch.zeros((rows.shape[0], columns.shape[0]), dtype=torch.bool, device=rows.device)
    for word in range(rows.shape[1]):
        shared = shared | ((rows[:, word, None] & columns[:, word]) != 0)
    return shared


def unpack_classes(words: Tensor, num_classes: int) -> Tensor:
    """bool ``[N, num_classes]`` from packed classes ``int64 [N, W]``."""
    classes = torch.arange(num_classes, device=words.device)
    return (words[:, classes // 64] >> (classes % 64)) & 1 != 0


def packed_classes(labels: Tensor, num_classes: int) -> Tensor:
    """Packed classes ``int64 [N, W]``, from either form; none for `NO_CLASS`."""
    if labels.ndim == 2:
        return _ops.pack_labels(labels)
    bit = torch.where(labels == NO_CLASS, 0, 1 << (labels & 63))[:, None]
    if num_classes <= 64:
        return bit
    words = labels.new_zeros(len(labels), (num_classes + 63) // 64)
    return words.scatter_(1, (labels >> 6).clamp(min=0)[:, None], bit)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over items of the cross-entropy of ``logits [N, num_classes]`` to their classes, which share the target
    probability evenly; an item without a class adds 0."""
    target = labels
    if labels.ndim == 2:
        hot = labels.to(logits.dtype)
        target = hot / hot.sum(dim=1, keepdim=True).clamp(min=1)
    return functional.cross_entropy(logits, target, reduction="mean" if len(logits) else "sum")
