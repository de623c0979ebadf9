"""Random numbers that depend on a seed alone, and leave the caller's as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Let torch draw from ``seed`` within the block: on the CPU, on the default device, and on ``device``.

    ``torch.manual_seed`` would start the generators of all GPUs anew, also of those that are not brought back after
    the block.
    """
    devices = {device, torch.empty(0).device}
    gpus = [place for place in devices if place is not None and place.type == "cuda"]
    with torch.random.fork_rng(devices=gpus):
        torch.default_generator.manual_seed(seed)
        for gpu in gpus:
            with torch.cuda.device(gpu):
                torch.cuda.manual_seed(seed)
        yield
