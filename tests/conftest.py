"""Fixtures of the whole suite: one parametrised body runs under every instruction set and under the torch reference."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing
from hypothesis import HealthCheck, settings
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hashkernels import _loader

# The ranks of a process group import their test module by name. The root comes last, behind the installed
# package, which the sources beside this folder would hide.
sys.path.append(str(Path(__file__).parents[1]))

# A fixture that forces an instruction set holds for all examples of a test, which is what is wanted here.
settings.register_profile(
    "hashkernels", deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("hashkernels")


@pytest.fixture(params=[*_loader.available_isas(), _loader.REFERENCE])
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each instruction set of this machine in turn, then the reference; outputs start out poisoned."""
    before, deterministic = _loader.isa(), torch.are_deterministic_algorithms_enabled()
    _loader.set_isa(request.param)
    # torch fills what torch.empty returns with NaN or the largest integer, so a kernel that leaves a gap is seen.
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield request.param
    torch.use_deterministic_algorithms(deterministic)
    _loader.set_isa(before)


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> int:
    """One thread and two."""
    return int(request.param)


class Waits(TorchDispatchMode):
    """Notes what of torch a host would wait for on a GPU: values, sizes that depend on them, and what comes from host
    memory or goes there. What the ops of the library do inside is hidden from it."""

    OPS = ("_local_scalar_dense", "nonzero", "masked_select", "bincount", "equal", "lift_fresh")

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func.name().removeprefix("aten::").partition(".")[0]
        by_mask = name.startswith("index") and any(
            isinstance(part, Tensor) and part.dtype in (torch.bool, torch.uint8)
            for part in (args[1] if len(args) > 1 and isinstance(args[1], list | tuple) else ())
        )
        repeats = name == "repeat_interleave" and kwargs.get("output_size") is None
        if name in self.OPS or "unique" in name or by_mask or repeats:
            self.found.append(func.name())
        result = func(*args, **kwargs)
        given = _places((args, kwargs))
        if given and len(given | _places(result)) > 1:
            self.found.append(func.name())
        return result


def _places(tree: Any) -> set[torch.device]:
    """Where the tensors in it lie."""
    return {leaf.device for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)}


@pytest.fixture
def waits() -> Waits:
    """Entered, it notes what a GPU would be waited for."""
    return Waits()


@pytest.fixture(scope="session")
def start_ranks() -> Callable[..., None]:
    """Run a function of (rank, folder) in several processes; they fork from one that has imported everything."""

    def start(work: Callable[..., None], folder: Path, num_ranks: int) -> None:
        multiprocessing.get_context("forkserver").set_forkserver_preload(["hashkernels.metrics", "torchmetrics"])
        # The server imports what lies in the folder it starts in first: a clone has sources without the extension.
        before = Path.cwd()
        os.chdir(Path(__file__).parent)
        try:
            forkserver.ensure_running()
        finally:
            os.chdir(before)
        torch.multiprocessing.start_processes(work, (folder,), nprocs=num_ranks, start_method="forkserver")

    return start
