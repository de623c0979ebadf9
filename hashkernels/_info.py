"""What this build can do on this machine, and the switches of the process."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import torch

from hashkernels import _loader, _validation
from hashkernels._ops import get_num_threads, set_num_threads

__all__ = ["Info", "get_num_threads", "info", "set_num_threads", "validate"]


@dataclass(frozen=True)
class Info:
    """Versions, instruction sets, CUDA build, devices and threads, as ``info()`` found them."""

    version: str
    torch_version: str
    native: bool  # whether the compiled extension answers; otherwise torch does
    compiler: str | None
    isa: str  # the instruction set in use, or "reference"
    available_isas: tuple[str, ...]
    cuda: bool  # whether the extension was built with CUDA
    cuda_version: str | None
    cuda_architectures: tuple[str, ...]
    devices: tuple[str, ...]  # NVIDIA GPUs that torch sees
    threads: int

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON-able values."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    def __str__(self) -> str:
        lines = []
        for key, value in self.to_dict().items():
            shown = ", ".join(value) if isinstance(value, list) else value
            if isinstance(value, bool):
                shown = "yes" if value else "no"
            lines.append(f"{key.replace('_', ' '):<20}{'none' if shown in (None, '') else shown}")
        return "\n".join(lines)


def info() -> Info:
    """What this build can do here: versions, instruction sets, CUDA build and architectures, devices, threads.

    >>> info().threads == get_num_threads()
    True
    """
    build = _loader.build_info()
    devices = []
    if torch.cuda.is_available():
        for device in range(torch.cuda.device_count()):
            major, minor = torch.cuda.get_device_capability(device)
            devices.append(f"{torch.cuda.get_device_name(device)} (sm_{major}{minor})")
    return Info(
        version=version("hashkernels"),
        torch_version=torch.__version__,
        native=_loader.isa() != _loader.REFERENCE,
        compiler=build.get("compiler"),
        isa=_loader.isa(),
        available_isas=tuple(_loader.available_isas()),
        cuda=bool(build.get("cuda", False)),
        cuda_version=build.get("cuda_version"),
        cuda_architectures=tuple(build.get("cuda_architectures", ())),
        devices=tuple(devices),
        threads=get_num_threads(),
    )


def validate(enabled: bool = True) -> None:
    """Switch the checks of values on a GPU (NaN, pad bits, label ranges) on or off.

    They are off by default since each waits for the device; on the CPU values are always checked.
    """
    if not isinstance(enabled, bool):
        raise TypeError(f"enabled must be a bool, got {type(enabled).__name__}")
    _validation.set_device_value_checks(enabled)
