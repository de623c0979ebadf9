"""A training run between two epochs, in a file: all that its next epoch depends on."""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hashkernels import _validation as check
from hashkernels._files import try_writing
from hashkernels.train.history import EpochRecord
from hashkernels.train.tensor_file import read_tensors, write_tensors

FORMAT_VERSION = 1
_SHOWN = 3
_ROWS = 4096


class TrainingState:
    """The file that one run writes after each epoch, and goes on from: weights, what the loss keeps, the moments of
    Adam, random states and records.

    Args:
        path: of the file, which need not be there yet.
        model, loss, optimiser: of the run, as they are before its first epoch.
        generators: all that the run draws random numbers from.
        settings: what a run must have in common with that of the file, ready for ``json.dumps``; to it come the modules
            of the model and the loss with their options, and their tensors.

    Raises:
        OSError: a file that is not there cannot be written.
        TypeError: a state dict holds something else than tensors.
        ImportError: without safetensors.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        model: nn.Module,
        loss: nn.Module,
        optimiser: torch.optim.Optimizer,
        generators: Sequence[torch.Generator],
        settings: Mapping[str, Any],
    ) -> None:
        check.require("safetensors", extra="train")
        self._path = Path(path)
        self._modules = {"model": model, "loss": loss}
        self._optimiser, self._generators = optimiser, generators
        self._settings = dict(settings)
        for name, module in self._modules.items():
            self._settings |= _outline(name, module)
        if not self._path.exists():
            try_writing(self._path)

    def save(self, records: Sequence[EpochRecord]) -> None:
        """Put down the run as it is, after as many epochs as it has records."""
        tensors = {
            f"{part}.{name}": value
            for part, module in self._modules.items()
            for name, value in module.state_dict().items()
        }
        for place, parameter in enumerate(self._parameters()):
            moments = self._optimiser.state.get(parameter, {})
            tensors |= {f"optimiser.{place}.{name}": value for name, value in moments.items()}
        tensors |= {f"random.{place}": generator.get_state() for place, generator in enumerate(self._generators)}
        epochs = [record._asdict() for record in records]
        write_tensors(self._path, tensors, {"format": FORMAT_VERSION, "settings": self._settings, "records": epochs})

    def restore(self) -> list[EpochRecord]:
        """Bring the run to where the file stands, and give the records of its epochs; none where there is no file.

        Raises:
            ValueError: the file is damaged, or of a run with other settings, which are named.
        """
        if not self._path.exists():
            return []
        entries = ("format", "settings", "records")
        (version, settings, records), parts = read_tensors(self._path, "the state of a training run", entries)
        if version != FORMAT_VERSION:
            raise ValueError(f"{self._path}: expected a training run in format {FORMAT_VERSION}, got {version!r}")
        if not isinstance(settings, dict):
            raise ValueError(f"{self._path}: expected the settings of a training run, got {settings!r}")
        self._check_same(settings)
        try:
            restored = [EpochRecord(**record) for record in records]
            self._load(parts)
        except (LookupError, RuntimeError, TypeError, ValueError) as error:
            reason = " ".join(map(str.strip, str(error).splitlines()[:2]))  # torch's first line only says where
            raise ValueError(f"{self._path}: tensors and settings do not fit together ({reason})") from None
        return restored

    def _check_same(self, settings: dict[str, Any]) -> None:
        names = dict.fromkeys((*self._settings, *settings))
        pairs = ((name, settings.get(name, "missing"), self._settings.get(name, "missing")) for name in names)
        differences = [f"{name} is {there} there, {here} here" for name, there, here in pairs if there != here]
        if differences:
            more = len(differences) - _SHOWN
            listed = differences[:_SHOWN] + ([f"{more} more"] if more > 0 else [])
            raise ValueError(f"{self._path}: the state of another training run: {'; '.join(listed)}")

    def _load(self, parts: dict[str, dict[str, torch.Tensor]]) -> None:
        for part, module in self._modules.items():
            module.load_state_dict(parts.get(part, {}))
        parameters = self._parameters()
        for name, value in parts.get("optimiser", {}).items():
            number, _, moment = name.partition(".")
            parameter = parameters[int(number)]
            if moment != "step":  # which is a count, and stays in memory of the CPU
                value = torch.empty_like(parameter.detach()).copy_(value)  # laid out like it
            self._optimiser.state[parameter][moment] = value
        for place, generator in enumerate(self._generators):
            generator.set_state(parts["random"][str(place)])

    def _parameters(self) -> list[torch.Tensor]:
        return [parameter for group in self._optimiser.param_groups for parameter in group["params"]]


def checksum(tensors: Iterable[torch.Tensor]) -> int:
    """CRC-32 of the numbers of tensors, which are brought to the CPU a part at a time."""
    value = 0
    for tensor in tensors:
        for part in torch.split(tensor.detach(), _ROWS):
            value = zlib.crc32(part.cpu().contiguous().view(torch.uint8).numpy().data, value)
    return value


def _outline(part: str, module: nn.Module) -> dict[str, str]:
    """The modules within a module with their options, and what its state dict holds, by name. The shape of a buffer is
    left out: that of a bank follows its labels. So are addresses, such as of a function: each process has its own."""
    outline = {
        name: re.sub(" at 0x[0-9a-f]+", "", " ".join(f"{type(inner).__name__}({inner.extra_repr()})".split()))
        for name, inner in module.named_modules(prefix=part)
    }
    for name, value in module.state_dict(keep_vars=True).items():
        if not isinstance(value, torch.Tensor):
            raise TypeError(f"state must be None for a {part} that keeps other things than tensors, got {name}")
        form = "buffer"
        if isinstance(value, nn.Parameter):
            form = f"{list(value.shape)}" if value.requires_grad else f"{list(value.shape)} without gradient"
        outline[f"{part}.{name}"] = f"{check.dtype_name(value.dtype)} {form}"
    return outline
