"""How a call is timed on a GPU, and what a figure says."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

Run = Callable[[], Any]


@dataclass(frozen=True)
class Figure:
    """One case: ours, how many times as long each peer takes, and the share of what the GPU gives at most."""

    case: str
    seconds: float
    fastest: float
    slowest: float
    pairs_per_second: float
    peers: Mapping[str, float] = field(default_factory=dict)
    ceiling: str = ""
    share: float | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    def line(self) -> str:
        parts = [f"{self.case}: {1000 * self.seconds:.3f} ms, {self.pairs_per_second:.3g} pairs/s"]
        parts += [f"{ratio:.1f} times {name}" for name, ratio in self.peers.items()]
        if self.share is not None:
            parts.append(f"{100 * self.share:.0f} % of {self.ceiling}")
        return ", ".join([*parts, *(f"{name} {value}" for name, value in self.more.items())])


class Bench:
    """The device, the sizes, and how a call is timed."""

    def __init__(self, device: torch.device, *, quick: bool) -> None:
        self.device, self.quick = device, quick
        self.rounds = 1 if quick else 20
        self.longest = 1.0  # seconds after which no further round of a call begins
        self.ceilings: dict[str, float] = {}

    def size(self, full: int) -> int:
        return max(full // 1000, min(full, 64)) if self.quick else full

    def times(self, run: Run) -> list[float]:
        """Seconds of one call, round by round."""
        run()
        times: list[float] = []
        while len(times) < self.rounds and (len(times) < 3 or sum(times) < self.longest):
            if self.device.type != "cuda":
                began = time.perf_counter()
                run()
                times.append(time.perf_counter() - began)
                continue
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            run()
            end.record()
            end.synchronize()
            times.append(start.elapsed_time(end) / 1000)
        return times

    def graphed(self, run: Run) -> Run:
        """What replays the kernels of a call, which must not wait for the device."""
        if self.device.type != "cuda":
            return run
        stream = torch.cuda.Stream(self.device)
        with torch.cuda.stream(stream):
            for _ in range(3):
                run()
        torch.cuda.synchronize(self.device)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            run()
        return graph.replay

    def seconds_of(self, run: Run) -> float:
        return statistics.median(self.times(run))

    def figure(
        self,
        case: str,
        pairs: float,
        ours: Run,
        peers: Mapping[str, Callable[[], Run]],
        *,
        share_of_peers: float = 1.0,
        floors: Mapping[str, float] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> Figure:
        """Time all. A peer is prepared when its turn comes; one that cannot be, or fails, is left out. ``floors``: the
        seconds below which no implementation can be, by the ceiling that says so."""
        times = self.times(ours)
        seconds = statistics.median(times)
        ratios = {}
        for name, prepare in peers.items():
            try:
                ratios[name] = self.seconds_of(prepare()) / share_of_peers / seconds
            except Exception as error:
                print(f"{case}: {name} failed: {error}", flush=True)
        ceiling, floor = max((floors or {"": 0.0}).items(), key=lambda item: item[1])
        share = floor / seconds if floor > 0 else None
        return Figure(case, seconds, min(times), max(times), pairs / seconds, ratios, ceiling, share, more or {})

    def floor(self, ceiling: str, amount: float) -> dict[str, float]:
        """Seconds for that many of what the ceiling counts; empty where it was not measured."""
        rate = self.ceilings.get(ceiling)
        return {} if not rate else {ceiling: amount / rate}


def extra_memory(device: torch.device, run: Run) -> int:
    """The most bytes that a call holds beyond what was there before."""
    if device.type != "cuda":
        return 0
    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    run()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before
