"""Trained models on disk: safetensors, with the settings as JSON in its header. Loading never unpickles."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from hashkernels.train.models import HashHead, HashModel, SmallConvNet, use_fast_layout
from hashkernels.train.tensor_file import read_tensors, write_tensors

FORMAT_VERSION = 1
_MODELS: dict[str, type[SmallConvNet] | type[HashHead]] = {"SmallConvNet": SmallConvNet, "HashHead": HashHead}


@dataclass(frozen=True)
class Checkpoint:
    """What `load_checkpoint` gives.

    Attributes:
        model: in evaluation mode, on the CPU.
        settings: what `save_checkpoint` was given, for example the method and the data.
        loss_state: state dict of the loss, empty when none was saved.
    """

    model: HashModel
    settings: dict[str, Any]
    loss_state: dict[str, torch.Tensor]


def save_checkpoint(
    path: str | os.PathLike[str], model: HashModel, *, settings: dict[str, Any], loss: nn.Module | None = None
) -> None:
    """Write a model, and the state of its loss, atomically.

    Args:
        path: by custom ends in .safetensors.
        settings: a dict that ``json.dumps`` takes.
        loss: its state (centers, banks, surrogate nets) goes along when given.

    Raises:
        TypeError: a model of another class than `SmallConvNet` or `HashHead`, whose layout could not be stored, or
            settings that are no dict.
        ImportError: without safetensors.

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "head.safetensors"
        >>> save_checkpoint(path, HashHead(8, 16), settings={"method": "csq"})
        >>> load_checkpoint(path).settings
        {'method': 'csq'}
    """
    kind = type(model).__name__
    if _MODELS.get(kind) is not type(model):
        raise TypeError(f"model must be one of {', '.join(_MODELS)}, got {kind}")
    if not isinstance(settings, dict):
        raise TypeError(f"settings must be a dict, got {type(settings).__name__}")
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    if loss is not None:
        tensors |= {f"loss.{name}": value for name, value in loss.state_dict().items()}
    header = {"format": FORMAT_VERSION, "model": kind, "config": model.config, "settings": settings}
    write_tensors(path, tensors, header)


def load_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read what `save_checkpoint` wrote.

    Raises:
        ValueError: the file is damaged, or no checkpoint of this library, or of a newer format.
        OSError: there is no such file, it is a folder, or it cannot be opened.
        ImportError: without safetensors.
    """
    entries = ("format", "model", "config", "settings")
    (version, kind, config, settings), parts = read_tensors(path, "a checkpoint", entries)
    if not isinstance(settings, dict):
        raise ValueError(f"{path}: expected the settings of a model, got {settings!r}")
    if version != FORMAT_VERSION or kind not in list(_MODELS):
        raise ValueError(f"{path}: expected format {FORMAT_VERSION} of a known model, got {version!r} of {kind!r}")
    try:
        # On the meta device: sizes in a damaged header allocate nothing before they are held against the tensors.
        with torch.device("meta"):
            model = _MODELS[kind](**config)
        model.load_state_dict(parts.get("model", {}), strict=True, assign=True)
    except (TypeError, ValueError, RuntimeError) as error:
        first_line = str(error).splitlines()[0]
        raise ValueError(f"{path}: weights and settings do not fit together ({first_line})") from None
    # The tensors were assigned as they lay in the file; the same layout as in training gives the same bits.
    return Checkpoint(use_fast_layout(model).eval(), settings, parts.get("loss", {}))
