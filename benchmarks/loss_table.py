"""Time and peak memory of every loss against the plain torch formula and torch.compile, as a table.

    python -m benchmarks.loss_table [--threads 1] [--seconds 0.2]

Writes ``benchmarks/results/cpu_losses.json`` and ``.md``, after every finished case.
"""

from __future__ import annotations

import argparse
import ctypes
import dataclasses
import gc
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hashkernels.data.files import save_text
from hashkernels.report import markdown_table

from .harness import OURS, Case, environment, measure, thread_limit
from .losses import CASES

RESULTS = Path(__file__).parent / "results" / "cpu_losses"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.2, help="for each contender of a case")
    parser.add_argument("--only", default="", help="cases whose title contains this")
    parser.add_argument("--output", type=Path, default=RESULTS, help="without ending")
    options = parser.parse_args()
    record: dict[str, Any] = {"environment": environment(), "threads": options.threads, "cases": []}
    for case in CASES:
        if options.only not in case.title:
            continue
        record["cases"].append(figures(case, options.threads, options.seconds))
        save_text(f"{options.output}.json", json.dumps(record, indent=1) + "\n")
        save_text(f"{options.output}.md", markdown(record))
        print(row(record["cases"][-1]), flush=True)


def figures(case: Case, threads: int, seconds: float) -> dict[str, Any]:
    """The measurement of a case, and the bytes that a forward and backward pass of each contender needs beyond what it
    starts with. Both are of one trial, which is compiled once."""
    with thread_limit(threads):
        trial = case.trial()
    measurement = measure(dataclasses.replace(case, build=lambda **_: trial), threads=threads, seconds=seconds)
    with thread_limit(threads):
        peaks = {name: peak_bytes(run) for name, run in trial.contenders.items()}
    return measurement.to_dict() | {"peak_bytes": peaks}


def peak_bytes(run: Callable[[], Any]) -> int:
    """How far the resident memory of this process rises during a second call, from Linux's high-water mark."""
    run()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # sets the mark to what is resident now
    before = _status("VmRSS")
    run()
    return max(0, _status("VmHWM") - before)


def _status(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None, name
    return int(found[1]) * 1024


def row(case: dict[str, Any]) -> list[str]:
    def cells(name: str) -> list[str]:
        if name not in case["seconds"]:
            return ["-", "-"]
        return [f"{case['seconds'][name] * 1e3:.3g}", f"{case['peak_bytes'][name] / 2**20:.1f}"]

    size = case["size"]
    against = "itself" if not size["bank"] else f"{size['bank']:,} of {size['classes']:,} classes in a bank"
    ratio = case["seconds"]["torch"] / case["seconds"][OURS]
    names = (OURS, "torch", "torch.compile")
    return [
        case["family"].removeprefix("loss "),
        f"{size['batch']} with {against}",
        *(cell for name in names for cell in cells(name)),
        f"{ratio:.2f}",
    ]


def markdown(record: dict[str, Any]) -> str:
    header = ["loss", "batch", "ours, ms", "MiB", "torch, ms", "MiB", "compiled, ms", "MiB", "torch / ours"]
    machine = record["environment"]
    where = f"{record['threads']} thread(s), {machine['cpu']}, torch {machine['versions']['torch']}"
    return f"""# Losses, forward and backward

{markdown_table(header, [row(case) for case in record["cases"]])}

- 64 bits; 10 classes where none are named. {where}.
- Times are medians of interleaved rounds, after every contender's value and gradient passed the check against the
  formula in float64. MiB is how far resident memory rises during a call, in pages of the system: small figures are
  rough.
- "torch" is the formula written out over whole matrices (`loss_formulas.py`); DTSH's is a loop over the queries, which
  torch.compile would unroll. MIHash's and TALR's is a tensor of pairs times bins.
- Made by `python -m benchmarks.loss_table`.
"""


if __name__ == "__main__":
    main()
