"""The training loop."""

from __future__ import annotations

import inspect
import math
import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader, Dataset, default_collate

from hashkernels import _validation as check
from hashkernels._arrays import to_tensor
from hashkernels._warnings import HashkernelsWarning
from hashkernels.codes import pack_codes
from hashkernels.metrics.separation import separation
from hashkernels.train.encoding import device_of
from hashkernels.train.history import EpochRecord, History, Progress
from hashkernels.train.models import to_inputs
from hashkernels.train.seeds import seeded
from hashkernels.train.state import TrainingState, checksum

Pair = tuple[torch.Tensor, torch.Tensor]
Arrays = tuple[NDArray[Any], NDArray[Any]]
SCHEDULES = ("constant", "cosine")


def fit(
    model: nn.Module,
    loss: nn.Module,
    dataset: Pair | Arrays | Dataset[Any],
    *,
    epochs: int = 12,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    weight_decay: float = 0.0,
    schedule: str = "constant",
    seed: int = 0,
    progress: Callable[[Progress], None] | None = None,
    state: str | os.PathLike[str] | None = None,
    resume: bool = True,
) -> History:
    """Train a model under a hashing loss with Adam.

    The parameters of the loss (surrogate nets, classifiers, proxies) are trained along with the model's, without weight
    decay. The same seed, data, thread count and build give the same numbers; the global random state of torch is left
    as it was. Each epoch is cut into batches of nearly equal size, about ``batch_size``, so that none is a lone item,
    on which batch normalisation fails.

    Args:
        model: items -> outputs float [N, bits]; trained in place, on the device where its parameters are.
        loss: ``loss(u, labels, indices=...)`` -> scalar; moved to the model's device. ``indices`` are the positions of
            the batch's items in the dataset, int64 [N].
        dataset: a pair (items, labels) of tensors or arrays, items uint8 images (scaled to 0..1) or floating point; or
            a map-style ``torch.utils.data.Dataset`` of such pairs, in which what follows the label is not looked at.
        epochs: passes over the data.
        batch_size: at least 2.
        learning_rate: of Adam, at the start.
        weight_decay: decoupled (AdamW's), of the model's parameters.
        schedule: "constant", or "cosine" down to zero at the last step.
        seed: of the order of the items, and of dropout.
        progress: called after each batch.
        state: a file (safetensors) that is written after each epoch, or None. Where it is there already, training goes
            on after the last epoch in it, and ends with the numbers of a run that was never interrupted; weights and
            buffers (centers, banks) become those of the file, whose epochs are not told to ``progress``. It stays when
            all are done. A pair must hold the same numbers again, a Dataset as many items; what it draws at random must
            come from torch. Of a module's options those are compared that its ``extra_repr`` tells.
        resume: False, train anew where there is such a file; the first epoch replaces it.

    Returns:
        The `History`, one record an epoch.

    Raises:
        ValueError: a setting out of its range, fewer than 2 items, or a loss that is no scalar or no longer finite; a
            state that is damaged, or of a run with other settings or data, which are named.
        TypeError: a model or loss that is no module or has parameters of float16, a loss that takes other arguments, a
            dataset of another kind; a state for modules that keep other things than tensors.
        OSError: the state cannot be read or written. ImportError: a state without safetensors.

    Warns:
        HashkernelsWarning: once, when an epoch ends with fewer different codes than classes: the codes collapsed.

    Example:
        >>> from hashkernels.losses import CSQLoss
        >>> from hashkernels.train import HashHead
        >>> items, labels = torch.eye(4).repeat(8, 1), torch.arange(4).repeat(8)
        >>> history = fit(HashHead(4, 16), CSQLoss(16, 4), (items, labels), epochs=2)
        >>> [record.epoch for record in history.records]
        [1, 2]

        With a file for its state, a run that was interrupted, here after two epochs, goes on when it is called again:

        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "state.safetensors"
        >>> def interrupt(progress):
        ...     if progress.step == 2:
        ...         raise KeyboardInterrupt
        >>> def run():
        ...     model, loss = HashHead(4, 16), CSQLoss(16, 4)
        ...     return fit(model, loss, (items, labels), epochs=3, progress=interrupt, state=path)
        >>> try:
        ...     history = run()
        ... except KeyboardInterrupt:
        ...     history = run()
        >>> len(history.records)
        3
    """
    for name, module in (("model", model), ("loss", loss)):
        _check_module(name, module)
    _check_takes_batch(loss)
    epochs, batch_size = check.check_int("epochs", epochs, 1), check.check_int("batch_size", batch_size, 2)
    learning_rate = check.check_real("learning_rate", learning_rate, 0)
    weight_decay = check.check_real("weight_decay", weight_decay, 0)
    check.check_choice("schedule", schedule, SCHEDULES)
    seed = check.check_int("seed", seed, 0, check.MAX_SEED)
    if isinstance(dataset, list) and any(isinstance(part, torch.Tensor | np.ndarray) for part in dataset):
        raise TypeError("dataset must be a pair (items, labels) or a map-style Dataset, got a list of arrays")
    if isinstance(dataset, tuple):
        if len(dataset) != 2:
            raise ValueError(f"dataset must be a pair (items, labels), got {len(dataset)} parts")
        dataset = (to_tensor("items", dataset[0]), to_tensor("labels", dataset[1]))
    num_items = _num_items(dataset)
    settings = {
        "optimiser": "AdamW" if weight_decay else "Adam",
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "weight_decay": weight_decay,
        "schedule": schedule,
        "seed": seed,
    }
    device = device_of(model)
    loss.to(device)
    optimiser = _optimiser(model, loss, learning_rate, weight_decay)
    batches = min(math.ceil(num_items / batch_size), num_items // 2)
    num_steps = epochs * batches
    history = History(settings)
    order = torch.Generator("cpu").manual_seed(seed)
    was_training = model.training
    model.train()
    loss.train()
    try:
        with seeded(seed, device) as generators:  # for dropout
            run = None
            if state is not None:
                common = settings | {"items": num_items, "device": device.type}
                if isinstance(dataset, tuple):
                    common["checksum of the data"] = checksum(dataset)
                run = TrainingState(state, model, loss, optimiser, [order, *generators], common)
                if resume:
                    history.records += run.restore()
            for epoch in range(len(history.records) + 1, epochs + 1):
                tally = _EpochTally()
                shuffled = torch.randperm(num_items, generator=order, device="cpu")
                for number, rows in enumerate(shuffled.tensor_split(batches), 1):
                    items, labels = _batch(dataset, rows)
                    u = model(to_inputs(items.to(device)))
                    _check_outputs(u, epoch, learning_rate)
                    labels = labels.to(device)
                    value = loss(u, labels, indices=rows.to(device))
                    _check_scalar(value)
                    optimiser.zero_grad(set_to_none=True)
                    value.backward()
                    step = (epoch - 1) * batches + number
                    for group in optimiser.param_groups:
                        group["lr"] = learning_rate * _share(schedule, step - 1, num_steps)
                    optimiser.step()
                    tally.add(value, u, labels, getattr(loss, "last_terms", {}))
                    record = None
                    if number == batches:
                        record = tally.record(epoch)
                        _check_record(record, tally.num_classes, history, learning_rate)
                        history.records.append(record)
                        if run is not None:
                            run.save(history.records)
                    if progress is not None:
                        progress(Progress(step, num_steps, record))
    finally:
        model.train(was_training)
    return history


class _EpochTally:
    """Sums of one epoch, kept on the device until the epoch ends."""

    def __init__(self) -> None:
        self._losses: list[torch.Tensor] = []
        self._terms: list[dict[str, torch.Tensor]] = []
        self._codes: list[torch.Tensor] = []
        self._labels: list[torch.Tensor] = []

    def add(self, loss: torch.Tensor, u: torch.Tensor, labels: torch.Tensor, terms: dict[str, torch.Tensor]) -> None:
        self._losses.append(loss.detach())
        self._terms.append({name: torch.as_tensor(value, device=u.device).detach() for name, value in terms.items()})
        self._codes.append(u.detach() > 0)
        self._labels.append(labels)

    @property
    def num_classes(self) -> int:
        """Classes seen, or 2 for multi-hot labels, whose number of distinguishable sets is not known."""
        labels = torch.cat(self._labels)
        return len(torch.unique(labels)) if labels.ndim == 1 else 2

    def record(self, epoch: int) -> EpochRecord:
        codes = torch.cat(self._codes).cpu()
        losses = torch.stack(self._losses).cpu().double()
        sizes = losses.new_tensor([len(part) for part in self._codes])
        share = codes.double().mean(dim=0)
        packed = pack_codes(codes)
        names = self._terms[0].keys()
        return EpochRecord(
            epoch=epoch,
            loss=float((losses * sizes).sum() / sizes.sum()),
            terms={name: float(torch.stack([terms[name] for terms in self._terms]).double().mean()) for name in names},
            distinct_codes=len(torch.unique(packed, dim=0)),
            bit_balance=float((1 - (2 * share - 1).abs()).mean()),
            constant_bits=int(((share == 0) | (share == 1)).sum()),
            separation=_separation(packed, torch.cat(self._labels).cpu(), codes.shape[1]),
        )


def _separation(packed: torch.Tensor, labels: torch.Tensor, bits: int) -> float:
    if labels.ndim == 2:
        labels = labels != 0
        labelled = labels.any(dim=1)
        packed, labels = packed[labelled], labels[labelled]
    num_classes = len(torch.unique(labels)) if labels.ndim == 1 else int(labels.any(dim=0).sum())
    if num_classes < 2:
        return 0.0
    found = separation(packed, labels, bits=bits, inter="center")
    return found.min_inter / max(found.max_intra, 1)


def _optimiser(model: nn.Module, loss: nn.Module, learning_rate: float, weight_decay: float) -> torch.optim.Optimizer:
    groups: list[dict[str, Any]] = [{"params": list(model.parameters()), "weight_decay": weight_decay}]
    if extra := list(loss.parameters()):
        groups.append({"params": extra, "weight_decay": 0.0})
    return torch.optim.AdamW(groups, lr=learning_rate)


def _share(schedule: str, done: int, num_steps: int) -> float:
    """What part of the learning rate is used after so many steps."""
    return (1 + math.cos(math.pi * done / num_steps)) / 2 if schedule == "cosine" else 1.0


def _check_outputs(u: torch.Tensor, epoch: int, learning_rate: float) -> None:
    if check.value_checks_enabled(u) and not bool(torch.isfinite(u).all()):
        raise ValueError(
            f"outputs of the model became infinite or NaN in epoch {epoch}: lower learning_rate, got "
            f"{learning_rate:g}, or look for such values among the items"
        )


def _check_record(record: EpochRecord, num_classes: int, history: History, learning_rate: float) -> None:
    if not math.isfinite(record.loss):
        raise ValueError(
            f"the loss became {record.loss} in epoch {record.epoch}: lower learning_rate, got {learning_rate:g}"
        )
    collapsed = record.distinct_codes < num_classes
    if collapsed and all(earlier.distinct_codes >= num_classes for earlier in history.records):
        warnings.warn(
            f"codes collapsed in epoch {record.epoch}: {record.distinct_codes} different code"
            f"{'s' if record.distinct_codes != 1 else ''} for {num_classes} classes; put batch normalisation after the "
            "hash layer (HashHead does), or lower the weight of the quantization term",
            HashkernelsWarning,
            stacklevel=3,
        )


def _check_module(name: str, value: Any) -> None:
    if not isinstance(value, nn.Module):
        hint = ": build_loss makes one of a method's name" if name == "loss" and isinstance(value, str) else ""
        raise TypeError(f"{name} must be a torch.nn.Module, got {type(value).__name__}{hint}")
    if any(parameter.dtype == torch.float16 for parameter in value.parameters()):
        # Adam adds 1e-8 to a root that it divides by.
        raise TypeError(f"{name} must have no parameters of float16 to be trained: Adam would divide by 0 there")


def _check_takes_batch(loss: nn.Module) -> None:
    try:
        signature = inspect.signature(loss.forward)
    except (TypeError, ValueError):  # not of Python's making
        return
    try:
        signature.bind("u", "labels", indices="indices")
    except TypeError as error:
        raise TypeError(
            f"loss must take what fit passes, (u, labels, indices=...): {type(loss).__name__}.forward: {error}"
        ) from None


def _check_scalar(value: Any) -> None:
    if not isinstance(value, torch.Tensor):
        raise TypeError(f"loss must return a torch.Tensor, got {type(value).__name__}")
    if value.ndim:
        raise ValueError(f"loss must return a scalar, got shape {tuple(value.shape)}")


def _num_items(dataset: Pair | Dataset[Any]) -> int:
    if isinstance(dataset, tuple):
        items, labels = dataset
        if len(items) != len(labels):
            raise ValueError(f"dataset must have one label for each of {len(items)} items, got {len(labels)}")
        count = len(items)
    elif not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
        hint = ": give its dataset, and batch_size" if isinstance(dataset, DataLoader) else ""
        raise TypeError(
            f"dataset must be a pair (items, labels) or a map-style Dataset, got {type(dataset).__name__}{hint}"
        )
    else:
        count = len(dataset)
    if count < 2:
        raise ValueError(f"dataset must have at least 2 items, got {count}")
    return count


def _batch(dataset: Pair | Dataset[Any], rows: torch.Tensor) -> Pair:
    if isinstance(dataset, tuple):
        return dataset[0][rows], dataset[1][rows]
    parts = default_collate([dataset[row] for row in rows.tolist()])
    if not isinstance(parts, list | tuple) or len(parts) < 2:
        got = f"{len(parts)} part" if isinstance(parts, list | tuple) else type(parts).__name__
        raise TypeError(f"dataset must give an item and its label for each position, got {got}")
    for name, part in (("items", parts[0]), ("labels", parts[1])):
        if not isinstance(part, torch.Tensor):
            raise TypeError(f"{name} of dataset must be tensors, arrays or numbers, got {type(part).__name__}")
    items, labels = parts[:2]
    return items, labels
