"""Named tensors and a JSON header in one safetensors file. Reading never unpickles."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from hashkernels import _validation as check
from hashkernels._files import atomic_write, check_no_device

_HEADER_KEY = "hashkernels"


def write_tensors(path: str | os.PathLike[str], tensors: Mapping[str, torch.Tensor], header: Mapping[str, Any]) -> None:
    """Write a file atomically; ``header`` is a dict that ``json.dumps`` takes.

    Raises:
        ImportError: without safetensors.
    """
    safetensors = check.require("safetensors.torch", extra="train")
    # Cloned: safetensors refuses tensors that share memory, and a state dict may hold views of one another.
    payload = safetensors.save(
        {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()},
        metadata={_HEADER_KEY: json.dumps(header)},
    )
    with atomic_write(path) as file:
        file.write(payload)


def read_tensors(
    path: str | os.PathLike[str], kind: str, entries: tuple[str, ...]
) -> tuple[list[Any], dict[str, dict[str, torch.Tensor]]]:
    """The named ``entries`` of the header, and the tensors by the part of their names before the first dot.

    Args:
        kind: what the file should be, for errors.

    Raises:
        ValueError: the file is damaged, or its header lacks an entry.
        OSError: there is no such file, it is a folder, or it cannot be opened.
        ImportError: without safetensors.
    """
    safetensors = check.require("safetensors", extra="train")
    if Path(path).is_dir():
        raise IsADirectoryError(f"{path} is a folder, expected a file")
    check_no_device(Path(path))
    if not Path(path).exists():
        raise FileNotFoundError(f"{path} does not exist")
    with open(path, "rb"):  # an OSError says what is wrong; safetensors calls all that it cannot open missing
        pass
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path}: damaged or not a safetensors file ({error})") from None
    try:
        header = json.loads(metadata[_HEADER_KEY])
        found = [header[entry] for entry in entries]
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{path}: not {kind} of hashkernels: its header lacks our settings") from None
    parts: dict[str, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = value
    return found, parts
