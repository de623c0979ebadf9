"""A retrieval protocol as data: what is trained on, what is asked, what is searched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hashkernels import _validation as check
from hashkernels._arrays import labels_to_tensor, to_tensor
from hashkernels._values import least_and_greatest

_MANY_CLASSES = 1 << 20  # more only where there are as many items


@dataclass(frozen=True)
class RetrievalSplit:
    """Items and labels of one retrieval protocol.

    Items are images (uint8 or float [N, C, H, W]) or embeddings (float [N, D]); labels are class ids int64 [N] or
    multi-hot {0, 1} [N, C].

    Attributes:
        name: of the data set.
        protocol: one sentence that says which items train, ask and are searched.
        num_classes: of the labels.
        class_names: a string for each of them.
    """

    name: str
    protocol: str
    train_items: torch.Tensor
    train_labels: torch.Tensor
    query_items: torch.Tensor
    query_labels: torch.Tensor
    database_items: torch.Tensor
    database_labels: torch.Tensor
    num_classes: int
    class_names: tuple[str, ...]

    @property
    def item_shape(self) -> tuple[int, ...]:
        """Shape of one item: (C, H, W) or (D,)."""
        return tuple(self.train_items.shape[1:])


def as_items(name: str, array: NDArray[Any] | torch.Tensor) -> torch.Tensor:
    """Bring images or embeddings into the layout that the models take.

    Args:
        array: embeddings [N, D] (floating point), or images [N, H, W], [N, C, H, W] or [N, H, W, C] (uint8 or floating
            point, C in 1, 3, 4; where both readings fit, channels first).

    Returns:
        float32 [N, D], or uint8 or float32 [N, C, H, W].

    Raises:
        ValueError: another shape, no items, or values that are not finite.
        TypeError: another dtype.

    Example:
        >>> tuple(as_items("images", np.zeros((5, 8, 8, 3), np.uint8)).shape)
        (5, 3, 8, 8)
    """
    items = to_tensor(name, array)
    if items.ndim not in (2, 3, 4):
        raise ValueError(f"{name} must be embeddings [N, D] or images [N, H, W(, C)], got shape {tuple(items.shape)}")
    if 0 in items.shape:
        raise ValueError(f"{name} must not be empty, got shape {tuple(items.shape)}")
    if items.ndim == 2 and not items.is_floating_point():
        raise TypeError(
            f"{name} given as embeddings [N, D] must be floating point, got {check.dtype_name(items.dtype)}"
        )
    if items.dtype != torch.uint8 and not items.is_floating_point():
        raise TypeError(f"{name} must be uint8 or floating point, got {check.dtype_name(items.dtype)}")
    if items.is_floating_point():
        items = items.float()
        if not bool(torch.isfinite(items).all()):
            raise ValueError(f"{name} must be finite, got NaN or infinity")
    if items.ndim == 3:
        return items.unsqueeze(1)
    if items.ndim == 4 and items.shape[1] not in (1, 3, 4):
        if items.shape[3] not in (1, 3, 4):
            raise ValueError(f"{name} must have 1, 3 or 4 channels, got shape {tuple(items.shape)}")
        return items.permute(0, 3, 1, 2).contiguous()
    return items


def as_labels(name: str, array: NDArray[Any] | torch.Tensor, num_items: int) -> torch.Tensor:
    """Class ids as int64 [N], or multi-hot labels as uint8 [N, C] (an [N, 1] column of ids counts as ids)."""
    labels = labels_to_tensor(name, array)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    labels = check.check_labels(name, labels, num_items)
    if labels.ndim == 2:
        return labels.to(torch.uint8)
    labels = labels.long()
    if labels.numel():
        least, greatest = least_and_greatest(labels)
        if least < 0:
            raise ValueError(f"{name} must be at least 0, got {least}")
        _check_greatest_id(name, greatest, num_items)
    return labels


def count_classes(*labels: torch.Tensor) -> int:
    """Number of classes of class ids (largest id + 1) or multi-hot labels (columns).

    Raises:
        ValueError: more than 2^20, unless there are as many items.
    """
    number = max(int(part.shape[1]) if part.ndim == 2 else int(part.max()) + 1 for part in labels)
    _check_greatest_id("labels", number - 1, sum(map(len, labels)))
    return number


def _check_greatest_id(name: str, greatest: int, num_items: int) -> None:
    most = max(num_items, _MANY_CLASSES)
    if greatest >= most:
        raise ValueError(
            f"{name} must be below {most}, as there is a class for each id up to the greatest, got {greatest}: "
            "numpy.unique(ids, return_inverse=True)[1] numbers them from 0"
        )


def hold_out_queries(
    name: str,
    items: torch.Tensor,
    labels: torch.Tensor,
    num_queries: int,
    *,
    seed: int = 0,
    class_names: tuple[str, ...] | None = None,
) -> RetrievalSplit:
    """Draw ``num_queries`` items as queries; the others are both trained on and searched.

    Args:
        num_queries: in 1..N-2.
        seed: of the draw; the same seed gives the same split on every machine.
        class_names: at least as many as there are classes; default their numbers.

    Raises:
        ValueError: ``num_queries`` out of its range, or labels or names that do not fit.

    Example:
        >>> split = hold_out_queries("toy", torch.rand(10, 4), torch.arange(10) % 2, 3)
        >>> tuple(split.query_items.shape), tuple(split.database_items.shape)
        ((3, 4), (7, 4))
    """
    total = len(items)
    _check_counts("", items, labels)
    check.check_int("num_queries", num_queries, 1, total - 2)
    check.check_int("seed", seed, 0)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(total))
    queries, rest = order[:num_queries].sort().values, order[num_queries:].sort().values
    return RetrievalSplit(
        name=name,
        protocol=f"{num_queries} queries drawn with seed {seed}; the other {total - num_queries} are trained on "
        "and searched",
        train_items=items[rest],
        train_labels=labels[rest],
        query_items=items[queries],
        query_labels=labels[queries],
        database_items=items[rest],
        database_labels=labels[rest],
        num_classes=(num_classes := count_classes(labels)),
        class_names=_names(class_names, num_classes),
    )


def first_test_queries(
    name: str,
    train: tuple[torch.Tensor, torch.Tensor],
    test: tuple[torch.Tensor, torch.Tensor],
    num_queries: int,
    *,
    class_names: tuple[str, ...] | None = None,
) -> RetrievalSplit:
    """The first ``num_queries`` test items ask; the other test items and the training part are searched.

    Args:
        num_queries: in 1..T of T test items.
        class_names: at least as many as there are classes; default their numbers.

    Raises:
        ValueError: ``num_queries`` out of its range, parts that do not fit together, or labels or names that do not
            fit.
    """
    (train_items, train_labels), (test_items, test_labels) = train, test
    _check_counts("training ", train_items, train_labels)
    _check_counts("test ", test_items, test_labels)
    if train_items.shape[1:] != test_items.shape[1:] or train_items.dtype != test_items.dtype:
        raise ValueError(
            f"the test items must be like the training items, {check.dtype_name(train_items.dtype)} "
            f"{list(train_items.shape[1:])}, got {check.dtype_name(test_items.dtype)} {list(test_items.shape[1:])}"
        )
    if train_labels.shape[1:] != test_labels.shape[1:]:
        raise ValueError(
            f"the test labels must be like the training labels, [N, {train_labels.shape[1:]}], got {test_labels.shape}"
        )
    check.check_int("num_queries", num_queries, 1, len(test_items))
    num_classes = count_classes(train_labels, test_labels)
    return RetrievalSplit(
        name=name,
        protocol=f"the first {num_queries} test items are queries; the other {len(test_items) - num_queries} and the "
        f"{len(train_items)} training items are searched; trained on the training items",
        train_items=train_items,
        train_labels=train_labels,
        query_items=test_items[:num_queries],
        query_labels=test_labels[:num_queries],
        database_items=torch.cat([test_items[num_queries:], train_items]),
        database_labels=torch.cat([test_labels[num_queries:], train_labels]),
        num_classes=num_classes,
        class_names=_names(class_names, num_classes),
    )


def _check_counts(part: str, items: torch.Tensor, labels: torch.Tensor) -> None:
    if len(items) != len(labels):
        raise ValueError(f"{part}labels must be one for each of {len(items)} items, got {len(labels)}")


def _names(class_names: tuple[str, ...] | None, num_classes: int) -> tuple[str, ...]:
    if class_names is None:
        return tuple(str(number) for number in range(num_classes))
    if len(class_names) < num_classes:
        raise ValueError(f"class_names must have at least {num_classes} names, got {len(class_names)}")
    return class_names
