"""Evaluate a model over data loaders."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from hashkernels._arrays import to_tensor
from hashkernels._validation import check_packable, counted
from hashkernels.metrics._inputs import packed_signs
from hashkernels.metrics.evaluator import RetrievalEvaluator, Role
from hashkernels.metrics.report import RetrievalReport


def evaluate_loaders(
    model: Callable[[Any], Tensor], query_loader: Iterable[Any], database_loader: Iterable[Any], **options: Any
) -> RetrievalReport:
    """Encode what two loaders give and evaluate it, without keeping the database.

    Args:
        model: gives outputs u [N, bits] of a batch of items, packed by sign. A ``torch.nn.Module`` is put into
            evaluation mode for the time, and gets its batches on its own device.
        query_loader, database_loader: batches (items, labels, ...); what follows the labels is not looked at. Labels
            are class ids [N] or multi-hot [N, C]. With ``relevance`` nothing but the items is.
        options: of ``RetrievalEvaluator``, but for ``bits``.

    Returns:
        RetrievalReport, that of ``hashkernels.evaluate`` over all codes.

    Raises:
        ValueError, TypeError, RuntimeError: as ``RetrievalEvaluator``; a loader without a batch, or with another kind.

    Example:
        >>> import torch
        >>> from hashkernels.metrics import evaluate_loaders
        >>> batches = [(torch.eye(4) - 0.5, torch.tensor([0, 1, 0, 1]))]
        >>> evaluate_loaders(torch.nn.Identity(), batches, batches, k=1).map
        1.0
    """
    if "bits" in options:
        raise TypeError("bits must not be given: the outputs of the model say how many there are")
    labelled = options.get("relevance") is None
    training = [module for module in model.modules() if module.training] if isinstance(model, torch.nn.Module) else []
    for module in training:
        module.training = False
    evaluator: RetrievalEvaluator | None = None
    roles: tuple[tuple[Role, Iterable[Any]], ...] = (("query", query_loader), ("database", database_loader))
    try:
        with torch.inference_mode():
            for role, loader in roles:
                for batch in loader:
                    items, labels = _items_and_labels(f"{role}_loader", batch, labelled)
                    outputs = check_packable("outputs of the model", model(_on_device_of(model, items)))
                    if evaluator is None:
                        evaluator = RetrievalEvaluator(int(outputs.shape[1]), **options)
                    evaluator.update(_packed(outputs, evaluator.bits), labels, role)
                if evaluator is None:
                    raise ValueError("query_loader must give at least one batch, got none")
    finally:
        for module in training:
            module.training = True
    assert evaluator is not None
    return evaluator.compute()


def _items_and_labels(name: str, batch: Any, labelled: bool) -> tuple[Any, Tensor | None]:
    if not isinstance(batch, tuple | list) or len(batch) < (2 if labelled else 1):
        form = "(items, labels, ...)" if labelled else "(items, ...)"
        got = counted(len(batch), "part") if isinstance(batch, tuple | list) else type(batch).__name__
        raise TypeError(f"{name} must give batches {form}, got {got}")
    return batch[0], to_tensor("labels", batch[1]).cpu() if labelled else None


def _on_device_of(model: Any, items: Any) -> Any:
    if not isinstance(model, torch.nn.Module) or not isinstance(items, Tensor):
        return items
    first = next(model.parameters(), None)
    return items if first is None else items.to(first.device)


def _packed(outputs: Tensor, bits: int) -> Tensor:
    if outputs.shape[1] != bits:
        raise ValueError(f"outputs of the model must have {bits} columns like those before, got {outputs.shape[1]}")
    return packed_signs("outputs of the model", outputs).cpu()
