"""What this GPU gives at most: bytes copied, population counts, logic, shared memory, matrix products."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

SOURCE = Path(__file__).with_name("gpu_ceilings.cu")
KINDS = (
    "population_counts",
    "logic",
    "shared_updates",
    "shared_atomics",
    "binary_multiply_adds_128",
    "binary_multiply_adds_256",
    "int8_multiply_adds",
)


def measure_ceilings(seconds_of: Callable[[Callable[[], Any]], float], device: torch.device) -> dict[str, float]:
    """Operations, bytes or multiply-adds a second; those that need nvcc are left out without it."""
    small = device.type == "cpu"
    size = 1 << (20 if small else 30)
    source = torch.randint(0, 255, (size,), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    side = 256 if small else 8192
    left, right = (torch.randn(side, side, device=device).to(torch.bfloat16) for _ in range(2))
    host = torch.empty(size >> 2, dtype=torch.uint8, pin_memory=not small)
    found = {
        "received_bytes": len(host) / seconds_of(lambda: target[: len(host)].copy_(host, non_blocking=True)),
        "copied_bytes": 2 * size / seconds_of(lambda: target.copy_(source)),
        "written_bytes": size / seconds_of(lambda: target.fill_(7)),
        "bfloat16_multiply_adds": side**3 / seconds_of(lambda: left @ right),
    }
    if not small:
        found |= _by_kernels(device)
    return found


def _by_kernels(device: torch.device) -> dict[str, float]:
    nvcc = shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc"
    major, minor = torch.cuda.get_device_capability(device)
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "ceilings.so"
        command = [
            nvcc,
            "-O3",
            f"-arch=sm_{major}{minor}",
            "-shared",
            "-Xcompiler",
            "-fPIC",
            "-o",
            str(library),
            str(SOURCE),
        ]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
        except (OSError, subprocess.SubprocessError) as error:
            print(f"no ceilings by kernels: {getattr(error, 'stderr', None) or error}", flush=True)
            return {}
        function = ctypes.CDLL(str(library)).ceiling
    function.restype = ctypes.c_double
    function.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_void_p]
    blocks = 8 * torch.cuda.get_device_properties(device).multi_processor_count
    out = torch.empty(blocks * 256, dtype=torch.int32, device=device)
    torch.cuda.synchronize(device)
    return {name: function(kind, blocks, 20_000, out.data_ptr()) for kind, name in enumerate(KINDS)}
