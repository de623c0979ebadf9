"""Random numbers that depend on a seed alone, and leave the caller's as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[list[torch.Generator]]:
    """Let torch draw from ``seed`` within the block: on the CPU, on the default device, and on ``device``. Gives the
    generators of all of them.

    ``torch.manual_seed`` would start the generators of all GPUs anew, also of those that are not brought back after
    the block.
    """
    devices = {device, torch.empty(0).device}
    gpus = [place for place in devices if place is not None and place.type == "cuda"]
    with torch.random.fork_rng(devices=gpus):
        generators = [torch.default_generator]
        for gpu in gpus:
            with torch.cuda.device(gpu):
                generators.append(torch.cuda.default_generators[torch.cuda.current_device()])
        for generator in generators:
            generator.manual_seed(seed)
        yield generators
