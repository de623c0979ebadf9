"""What a benchmark case is, and how it is timed.

The contenders of a case take turns, so that a machine whose speed drifts slows all of them, and in a new order each
round, as what ran before decides what is in the caches; the figure of each is the median over rounds. A turn lasts 10
ms at least, so that it shows what calls cost that follow each other; what the first of them took, which finds code and
data out of the caches, stands beside. Nothing is timed before its result has been checked.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import platform
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

import hashkernels as hk

OURS = "hashkernels"
_LEAST_TURNS = 6  # of each number of threads
_LEAST_TURN_SECONDS = 1e-2
_LONG_SECONDS = 1e-1  # of a call, to which it is nothing that it is the first of a turn


@dataclass(frozen=True)
class Trial:
    """One case with its inputs made: the functions to time and the test that their results must pass."""

    contenders: Mapping[str, Callable[[], Any]]
    check: Callable[[Mapping[str, Any]], None]  # of the results by contender; raises AssertionError
    share: Mapping[str, float] = field(default_factory=dict)  # of the work, where a slow contender does a part of it


@dataclass(frozen=True)
class Case:
    """A benchmark at one size.

    ``build`` makes the trial from the size, one for timing (``full``) and one to check the code fast (``quick``), with
    a function for each of ``contenders``. ``work`` says how many units (pairs, bytes, ...) a size stands for, and
    ``bounds`` how much of what a machine has limits for (see limits.py) it cannot do without. ``target`` marks a case
    that the library has a goal for.
    """

    family: str
    contenders: tuple[str, ...]
    build: Callable[..., Trial]
    full: Mapping[str, Any]
    quick: Mapping[str, Any]
    unit: str
    work: Callable[..., float]
    bounds: Mapping[str, Callable[..., float]] = field(default_factory=dict)
    target: bool = True
    title: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "title", self.title_at(self.full))

    def title_at(self, size: Mapping[str, Any]) -> str:
        """The family and a size, for people."""
        shown = {name: f"{value:,}" if isinstance(value, int) else value for name, value in size.items()}
        return f"{self.family}: " + ", ".join(f"{name} {value}" for name, value in shown.items())

    def trial(self, *, quick: bool = False) -> Trial:
        """The case with its inputs, every result checked."""
        trial = self.build(**(self.quick if quick else self.full))
        assert tuple(trial.contenders) == self.contenders, self.title
        trial.check({name: run() for name, run in trial.contenders.items()})
        return trial


@dataclass(frozen=True)
class Measurement:
    """Median seconds of each contender of a case, and the spread of the rounds."""

    case: str
    family: str
    size: Mapping[str, Any]
    threads: int
    seconds: Mapping[str, float]
    first: Mapping[str, float]  # of the first call of a turn, the median as well
    fastest: Mapping[str, float]
    slowest: Mapping[str, float]
    rate: float
    unit: str
    share_of_limit: Mapping[str, float]  # of each limit that bounds the case, how much ours reaches
    on_threads: Mapping[int, float]  # seconds of ours without the others in between, on several numbers of threads
    fastest_on_threads: Mapping[int, float]

    def ratio(self, contender: str) -> float:
        """How many times as long as ours the contender takes."""
        return self.seconds[contender] / self.seconds[OURS]

    def to_dict(self) -> dict[str, Any]:
        peers = {name: self.ratio(name) for name in self.seconds if name != OURS}
        return {**self.__dict__, "rate_unit": f"{self.unit}/s", "ratio": peers}


def peers(module: str, *names: str) -> tuple[str, ...]:
    """The contenders that need ``module``: none where it is not installed."""
    return names if find_spec(module) is not None else ()


@contextlib.contextmanager
def thread_limit(threads: int) -> Iterator[None]:
    """Give ours, torch's and FAISS's kernels the same number of threads."""
    import torch

    before = torch.get_num_threads()
    hk.set_num_threads(None)  # ours follow torch
    torch.set_num_threads(threads)
    if find_spec("faiss") is not None:
        import faiss

        faiss.omp_set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def measure(
    case: Case,
    *,
    threads: int,
    seconds: float = 1.0,
    quick: bool = False,
    limits: Mapping[str, float] | None = None,
    also_threads: Sequence[int] = (),
) -> Measurement:
    """Time the contenders of a case in turn, for about ``seconds`` each and at least three rounds; ``limits`` are those
    of ``machine_limits`` on as many threads. With ``also_threads`` ours is then timed alone, on as many threads and on
    each of those in turn."""
    with thread_limit(threads):
        trial = case.trial(quick=quick)
        times, firsts = _times(trial, seconds)
    turns = _on_threads(trial.contenders[OURS], (threads, *also_threads), seconds) if also_threads else {}
    medians = {name: statistics.median(values) for name, values in times.items()}
    size = case.quick if quick else case.full
    return Measurement(
        case=case.title_at(size),
        family=case.family,
        size=dict(size),
        threads=threads,
        seconds=medians,
        first={name: statistics.median(values) for name, values in firsts.items()},
        fastest={name: min(values) for name, values in times.items()},
        slowest={name: max(values) for name, values in times.items()},
        rate=case.work(**size) / medians[OURS],
        unit=case.unit,
        share_of_limit={
            name: amount(**size) / medians[OURS] / limits[name]
            for name, amount in case.bounds.items()
            if limits and name in limits
        },
        on_threads={count: statistics.median(values) for count, values in turns.items()},
        fastest_on_threads={count: min(values) for count, values in turns.items()},
    )


def _times(trial: Trial, seconds: float) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Seconds of a call in every turn, and of its first call."""
    times: dict[str, list[float]] = {name: [] for name in trial.contenders}
    firsts: dict[str, list[float]] = {name: [] for name in trial.contenders}
    order, shuffler = list(trial.contenders), random.Random(0)
    start = time.perf_counter()
    while min(map(len, times.values())) < 3 or time.perf_counter() - start < seconds * len(times):
        shuffler.shuffle(order)
        for name in order:
            run, share = trial.contenders[name], trial.share.get(name, 1.0)
            first = _turn(run, 0.0)
            firsts[name].append(first / share)
            times[name].append((_turn(run) if first < _LONG_SECONDS else first) / share)
    return times, firsts


def _on_threads(run: Callable[[], Any], counts: Sequence[int], seconds: float) -> dict[int, list[float]]:
    """Seconds of every turn on each number of threads. They take turns, so that what else runs on the machine meets
    all; one thread goes from core to core, as cores of a shared machine differ in what neighbours leave them."""
    times: dict[int, list[float]] = {count: [] for count in counts}
    for count in sorted(counts, reverse=True):  # threads start here, where they may run on any core
        with thread_limit(count):
            run()
    cores = itertools.cycle(_cores() or [None])
    start = time.perf_counter()
    while min(map(len, times.values())) < _LEAST_TURNS or time.perf_counter() - start < seconds * len(times):
        for count in counts:
            with thread_limit(count), _kept_to(next(cores) if count == 1 else None):
                _turn(run)  # until threads run and have the cores that they keep
                times[count].append(_turn(run))
    return times


def _cores() -> list[int]:
    """Those that this process may use; none where the system does not tell."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


@contextlib.contextmanager
def _kept_to(core: int | None) -> Iterator[None]:
    """Keep the calling thread to a core."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _turn(run: Callable[[], Any], least: float = _LEAST_TURN_SECONDS) -> float:
    """Seconds of a call, the mean of as many as take ``least`` seconds together."""
    calls, took = 0, 0.0
    began = time.perf_counter()
    while took < least or calls == 0:
        run()
        calls += 1
        took = time.perf_counter() - began
    return took / calls


def environment() -> dict[str, Any]:
    """The machine and the versions behind a result."""
    with open("/proc/cpuinfo") as lines:
        models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    versions = {}
    for package in ("torch", "numpy", "faiss-cpu", "usearch", "torchmetrics", "pytorch-metric-learning"):
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    return {**hk.info().to_dict(), "cpu": models[0] if models else platform.machine(), "versions": versions}
