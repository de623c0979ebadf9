"""Fixtures of the whole suite: one parametrised body runs under every instruction set and under the torch reference."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
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


@pytest.fixture
def flipped() -> Callable[[Path, Iterable[int]], Iterator[int]]:
    """Goes over bits of a file by their places; while it is at one, that bit of the file is the other one."""

    def each(path: Path, bits: Iterable[int]) -> Iterator[int]:
        whole = path.read_bytes()
        with path.open("r+b") as file:
            for bit in bits:
                byte = bit // 8
                os.pwrite(file.fileno(), bytes([whole[byte] ^ 1 << bit % 8]), byte)
                yield bit
                os.pwrite(file.fileno(), whole[byte : byte + 1], byte)

    return each


class Process:
    """A process that `Python` started: what it printed so far, signals to it, and how it ended."""

    def __init__(self, python: Python) -> None:
        self.python = python
        self.pid = python.receive(120)
        self.status: int | None = None

    def wait_for(self, text: str, seconds: float = 60) -> None:
        """Wait until it has printed that."""
        last = time.monotonic() + seconds
        while True:
            ended = self.python.connection.poll(0.01)
            printed = self.python.printed()
            if any(text in output for output in printed):
                return
            assert not ended, f"ended without printing {text!r}: {printed}"
            assert time.monotonic() < last, f"no {text!r} within {seconds} s: {printed}"

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def end(self, seconds: float = 120) -> subprocess.CompletedProcess[str]:
        """Wait for it to end."""
        self.status = self.python.receive(seconds)
        return subprocess.CompletedProcess(f"process {self.pid}", self.status, *self.python.printed())


class Python:
    """Runs Python code in processes of their own, one after another, without the wait for an import of torch."""

    def __init__(self, folder: Path) -> None:
        self.outputs = [folder / "stdout", folder / "stderr"]
        self.connection, theirs = multiprocessing.Pipe()
        script = Path(__file__).with_name("fork_server.py")
        with theirs:
            self.server = subprocess.Popen(
                [sys.executable, "-P", script, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},  # no threads: a fork loses them
                start_new_session=True,  # Ctrl-C is for pytest, which ends them
            )

    def printed(self) -> list[str]:
        return [path.read_text(errors="surrogateescape") for path in self.outputs]

    def receive(self, seconds: float) -> int:
        """The number that the server sends next: of a process, then the exit status of that."""
        try:
            assert self.connection.poll(seconds), f"no answer within {seconds} s: {self.printed()}"
            return int(self.connection.recv())
        except (EOFError, ConnectionError):
            raise RuntimeError(f"the process to fork from ended with status {self.server.wait()}") from None

    @contextmanager
    def start(
        self, code: str, *arguments: object, folder: Path | None = None, environment: Mapping[str, str] = os.environ
    ) -> Iterator[Process]:
        """Start ``python -c code *arguments``; what runs when the block is left is killed."""
        for path in self.outputs:
            path.write_text("")
        with suppress(ConnectionError):  # the answer is missing then
            self.connection.send((code, [*map(str, arguments)], folder or Path.cwd(), dict(environment), self.outputs))
        process = Process(self)
        try:
            yield process
        finally:
            if process.status is None:
                with suppress(ProcessLookupError):
                    process.send_signal(signal.SIGKILL)
                self.receive(60)

    def run(self, code: str, *arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
        """What ``python -c code *arguments`` prints, and its exit status."""
        with self.start(code, *arguments, **options) as process:
            return process.end()


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Python]:
    """Starts processes of Python."""
    started = Python(tmp_path_factory.mktemp("python"))
    yield started
    started.connection.close()
    started.server.wait(60)
