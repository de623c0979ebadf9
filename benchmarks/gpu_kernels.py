"""How long each kernel of a call takes on this machine's GPU, in the order of their launches.

    python -m hashkernels.benchmarks.gpu_kernels [--only topk]
    ncu --profile-from-start off ... python -m hashkernels.benchmarks.gpu_kernels --once

Where the kernels take much less than the call, the call is bound by what Python and the driver do between them.
"""

from __future__ import annotations

import argparse
import re
import statistics
from collections.abc import Callable
from typing import Any

import torch
from hashkernels.benchmarks.gpu_checks import random_codes
from torch.profiler import ProfilerActivity, profile

from hashkernels import _ops


def calls(device: torch.device) -> dict[str, Callable[[], Any]]:
    """Every op at one size that fills the device, and at one where launches count."""
    queries, database = random_codes(10_000, 64, 1, device), random_codes(1_000_000, 64, 2, device)
    many, wide = random_codes(100_000_000, 64, 2, device), random_codes(10_000_000, 1024, 2, device)
    labels = torch.arange(1_000_000, device=device) % 100
    u = torch.randn(16_384, 64, device=device, requires_grad=True)
    pair = (queries, database, labels[:10_000].clone(), labels)

    def loss(num_rows: int) -> None:
        own = labels[:num_rows].clone()
        total = _ops.margin_loss(u[:num_rows], own, positive_margin=40.0, negative_margin=-10.0).total
        torch.autograd.grad(total, u)

    return {
        **{f"topk 10k x 1M, k {k}": lambda k=k: _ops.topk(queries, database, k) for k in (10, 100, 1000)},
        "topk 1 x 100M": lambda: _ops.topk(queries[:1], many, 100),
        "topk 1 x 10M, 1024 bits": lambda: _ops.topk(wide[:1], wide, 100),
        "counts 10k x 1M": lambda: _ops.retrieval_counts(*pair),
        "index order 10k x 1M": lambda: _ops.index_order_precision(*pair, [1_000_000]),
        "distance 10k x 100k": lambda: _ops.hamming_distance(queries, database[:100_000], torch.int16),
        **{f"margin loss {n}": lambda n=n: loss(n) for n in (256, 4096, 16_384)},
    }


# Under a profiler that runs every kernel several times.
ONCE = (
    "topk 10k x 1M, k 100",
    "topk 1 x 100M",
    "topk 1 x 10M, 1024 bits",
    "counts 10k x 1M",
    "index order 10k x 1M",
    "distance 10k x 100k",
    "margin loss 16384",
)


def milliseconds(call: Callable[[], Any]) -> float:
    """The median of ten calls."""
    times = []
    for _ in range(10):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        call()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    return statistics.median(times)


def kernels(call: Callable[[], Any]) -> dict[str, list[float]]:
    """Microseconds of every launch of one call, by kernel."""
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        call()
        torch.cuda.synchronize()
    launches = [event for event in profiler.events() if event.device_type == torch.autograd.DeviceType.CUDA]
    found: dict[str, list[float]] = {}
    for launch in sorted(launches, key=lambda event: event.time_range.start):
        name = re.search(r"(\w+kernel\w*|Mem\w+)", launch.name)
        found.setdefault(name[1] if name else launch.name, []).append(launch.time_range.elapsed_us())
    return found


def profiled(call: Callable[[], Any]) -> None:
    """One call that a profiler sees which looks at what it is told to."""
    torch.cuda.synchronize()
    torch.cuda.profiler.start()
    call()
    torch.cuda.synchronize()
    torch.cuda.profiler.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--only", default="", help="the calls whose name contains this")
    parser.add_argument("--once", action="store_true", help="make one call of each kind, for a profiler to look at")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("torch sees no GPU")
    for name, call in calls(torch.device("cuda")).items():
        if arguments.only not in name:
            continue
        if arguments.once and name not in ONCE:
            continue
        call()
        if arguments.once:
            profiled(call)
            continue
        print(f"{name}: {milliseconds(call):.3f} ms")
        for kernel, times in kernels(call).items():
            print(f"  {sum(times):9.1f} us  {kernel}: {', '.join(f'{time:.1f}' for time in times)}")


if __name__ == "__main__":
    main()
