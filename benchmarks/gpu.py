"""The CUDA kernels on this machine's GPU: checked first, then timed against torch, torch.compile and Triton on the same
GPU, and against what the GPU gives at most.

    python -m hashkernels.benchmarks.gpu --output benchmarks/results/<name>/figures.json

Seconds are the median over rounds of CUDA events around one call. Peers that need the whole distance matrix run on a
part of the queries, and their time is scaled up. Rates are pairs a second; a share is that of the ceiling which the
case names. The file is written again after every step, so that what was measured is not lost; at the end
``gpu_table.py`` says which goals were met. ``--device cpu --quick`` runs the same code at small sizes where there is no
GPU: it shows that the benchmark works, its figures mean nothing.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hashkernels.benchmarks.gpu_bench import Bench, Figure, Run
from hashkernels.benchmarks.gpu_ceilings import measure_ceilings
from hashkernels.benchmarks.gpu_checks import CHECKS
from hashkernels.benchmarks.gpu_loss_cases import PAIR_LOSSES, pair_case, training_case, triplets_case
from hashkernels.benchmarks.gpu_search_cases import (
    counting_case,
    distance_case,
    packing_case,
    range_case,
    streamed_case,
    topk_case,
)
from hashkernels.benchmarks.gpu_table import goals_table

import hashkernels as hk

Case = Callable[[Bench], Figure]


def _case(make: Callable[..., Figure], *arguments: Any, **options: Any) -> Case:
    return lambda bench: make(bench, *arguments, **options)


MANY, MILLION = 10_000, 1_000_000
HALF = torch.bfloat16

# What goals are set for comes first: where time runs out, the rest is left out.
CASES: dict[str, Case] = {
    "distance 64": _case(distance_case, MANY, 100_000, 64),
    "topk 10k x 1M": _case(topk_case, MANY, MILLION, 64, 100),
    "topk 1 x 100M": _case(topk_case, 1, 100 * MILLION, 64, 100),
    "topk 1k x 10M, 1024 bits": _case(topk_case, 1000, 10 * MILLION, 1024, 100),
    "counts 10k x 1M": _case(counting_case, MANY, MILLION, 64, False),
    "margin 256": _case(pair_case, "margin", 256),
    "margin 4096": _case(pair_case, "margin", 4096),
    "margin 16384": _case(pair_case, "margin", 16_384),
    "margin 256 x 130k": _case(pair_case, "margin", 256, 130_000),
    "resnet": training_case,
    **{
        f"streamed topk 64 x 100M, {'pinned' if pinned else 'pageable'}": _case(
            streamed_case, 64, 100 * MILLION, 64, 100, pinned
        )
        for pinned in (True, False)
    },
    **{f"{name} 4096": _case(pair_case, name, 4096) for name in PAIR_LOSSES if name != "margin"},
    "contrastive 256 x 130k": _case(pair_case, "contrastive", 256, 130_000),
    **{f"triplets {items}": _case(triplets_case, items) for items in (256, 1024)},
    "index order 10k x 1M": _case(counting_case, MANY, MILLION, 64, True),
    **{f"topk 10k x 1M, k {k}": _case(topk_case, MANY, MILLION, 64, k) for k in (10, 1000)},
    "topk 31 x 10M": _case(topk_case, 31, 10 * MILLION, 64, 100),
    "topk 64 x 10M": _case(topk_case, 64, 10 * MILLION, 64, 100),
    "topk 1 x 10M, 1024 bits": _case(topk_case, 1, 10 * MILLION, 1024, 100),
    **{
        f"margin {rows} x {columns or rows}, graph": _case(pair_case, "margin", rows, columns, graph=True)
        for rows, columns in ((256, 0), (4096, 0), (16_384, 0), (256, 130_000))
    },
    "margin 16384 float32": _case(pair_case, "margin", 16_384, precision="float32"),
    "margin 16384 bfloat16": _case(pair_case, "margin", 16_384, dtype=HALF, precision="auto"),
    "margin 256 x 130k bfloat16": _case(pair_case, "margin", 256, 130_000, HALF, "auto"),
    # The roofline: every op by the length of a code, with many queries and with one.
    **{f"topk 10k x 1M, {bits} bits": _case(topk_case, MANY, MILLION, bits, 100) for bits in (16, 32, 128, 256, 512)},
    **{f"topk 1 x 10M, {bits} bits": _case(topk_case, 1, 10 * MILLION, bits, 100) for bits in (16, 32, 64, 128, 256)},
    **{f"distance {bits}": _case(distance_case, MANY, 100_000, bits) for bits in (16, 32, 128, 256, 1024)},
    **{
        f"counts 10k x 1M, {bits} bits": _case(counting_case, MANY, MILLION, bits, False) for bits in (16, 32, 128, 256)
    },
    "counts 1k x 100k, 1024 bits": _case(counting_case, 1000, 100_000, 1024, False),
    "counts 16 x 1M": _case(counting_case, 16, MILLION, 64, False),
    "radius 1k x 1M": _case(range_case, 1000, MILLION, 64, 16),
    "radius 1 x 10M": _case(range_case, 1, 10 * MILLION, 64, 16),
    **{f"packing 1M x {bits}": _case(packing_case, MILLION, bits) for bits in (16, 64, 1024)},
    **{f"margin 4096, {bits} bits": _case(pair_case, "margin", 4096, bits=bits) for bits in (16, 256, 1024)},
}


def environment(device: torch.device) -> dict[str, Any]:
    """What the figures depend on."""

    def output(*command: str) -> str:
        try:
            return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30).stdout.strip()
        except OSError:
            return ""

    root = Path(__file__).parent
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor(),
        "driver": output("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"),
        "clocks": output("nvidia-smi", "--query-gpu=clocks.sm,clocks.mem", "--format=csv,noheader"),
        "commit": output("git", "-C", str(root), "describe", "--always", "--dirty"),
        "python": platform.python_version(),
        "torch_cuda": torch.version.cuda,
        **hk.info().to_dict(),
    }


class Report:
    """What was found so far, in a file that is whole at all times."""

    def __init__(self, path: Path, device: torch.device) -> None:
        self._path = path
        self.content: dict[str, Any] = {
            "environment": environment(device),
            "ceilings": {},
            "checks": {},
            "figures": [],
            "left_out": {},
            "took": {},
        }
        self.save()

    def save(self) -> None:
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(self.content, indent=1) + "\n")
        new.replace(self._path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--output", type=Path, required=True, help="JSON file for checks and figures")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, ... or cpu (default: cuda)")
    parser.add_argument("--quick", action="store_true", help="small sizes, to try the benchmark itself")
    parser.add_argument("--only", default="", help="run the cases whose name contains this")
    parser.add_argument("--seconds", type=float, default=240.0, help="begin no further case after so long")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    if device.type == "cuda":
        if not torch.cuda.is_available():
            parser.error("torch sees no GPU")
        device = torch.device("cuda", torch.cuda.current_device() if device.index is None else device.index)
        torch.cuda.set_device(device)
    began = time.monotonic()
    bench = Bench(device, quick=arguments.quick)
    report = Report(arguments.output, device)
    failed = False

    def step(name: str, run: Run) -> Any:
        nonlocal failed
        step_began = time.monotonic()
        if step_began - began > arguments.seconds:
            report.content["left_out"][name] = "no time was left"
            result = None
        else:
            try:
                result = run()
            except Exception as error:
                failed = True
                traceback.print_exc()
                report.content["left_out"][name] = f"{type(error).__name__}: {error}"
                result = None
            report.content["took"][name] = round(time.monotonic() - step_began, 2)
        report.save()
        return result

    for name, check in CHECKS.items():
        found = step(name, partial(check, device, arguments.quick))
        report.content["checks"][name] = found
        print(f"{name}: {'FAILED' if found is None else found}", flush=True)
    bench.ceilings = step("ceilings", lambda: measure_ceilings(bench.seconds_of, device)) or {}
    report.content["ceilings"] = bench.ceilings
    print(*(f"{name} {rate:.3g}/s" for name, rate in bench.ceilings.items()), sep=", ", flush=True)
    for name, case in CASES.items():
        if arguments.only not in name:
            continue
        figure = step(name, partial(case, bench))
        if figure is not None:
            report.content["figures"].append({"name": name, **asdict(figure)})
            print(figure.line(), flush=True)
        if device.type == "cuda":
            torch.cuda.empty_cache()
    report.save()
    print(goals_table(report.content["figures"]))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
