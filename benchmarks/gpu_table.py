"""What a run of gpu.py means: the goals, the roofline, and what Nsight Compute says limits each kernel.

    python -m hashkernels.benchmarks.gpu_table figures.json [--plot roofline.svg] [--ncu kernels.csv]

Tables are printed as Markdown. ``kernels.csv`` is what ``ncu --csv --page details --section SpeedOfLight`` printed.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hashkernels._validation import require

Figures = Sequence[Mapping[str, Any]]


class Goal(NamedTuple):
    """What a case of gpu.py should reach on an H200."""

    name: str
    measure: str  # "ms", "share", "share_of_step", or the name of a peer
    goal: float

    def found(self, figure: Mapping[str, Any]) -> float | None:
        """The measured value, or None where there is none."""
        if self.measure == "ms":
            return float(1000 * figure["seconds"])
        value = figure["share"] if self.measure == "share" else {**figure["peers"], **figure["more"]}.get(self.measure)
        return None if value is None else float(value)

    def met(self, value: float) -> bool:
        """Of times and of the share of a step less is better."""
        return value <= self.goal if self.measure in ("ms", "share_of_step") else value >= self.goal

    def shown(self, value: float, figure: Mapping[str, Any]) -> str:
        if self.measure == "ms":
            return f"{value:.3g} ms"
        if self.measure == "share":
            return f"{100 * value:.0f} % of {figure['ceiling']}"
        return (
            f"{100 * value:.2g} % of the step" if self.measure == "share_of_step" else f"{value:.3g} x {self.measure}"
        )


GOALS = (
    Goal("distance 64", "share", 0.8),
    Goal("topk 10k x 1M", "ms", 13),
    Goal("topk 10k x 1M", "ms", 3),
    Goal("topk 10k x 1M", "ms", 1.5),
    Goal("topk 10k x 1M", "torch", 30),
    Goal("topk 10k x 1M", "FAISS", 10),
    Goal("topk 1 x 100M", "share", 0.7),
    Goal("topk 1 x 100M", "share", 0.8),
    Goal("topk 1k x 10M, 1024 bits", "share", 0.6),
    Goal("counts 10k x 1M", "ms", 15),
    Goal("counts 10k x 1M", "ms", 8),
    Goal("counts 10k x 1M", "torch sort", 100),
    Goal("margin 256", "eager", 5),
    Goal("margin 4096", "eager", 15),
    Goal("margin 4096", "torch.compile", 3),
    Goal("margin 16384", "eager", 20),
    Goal("margin 16384", "torch.compile", 3),
    Goal("margin 256 x 130k", "eager", 10),
    Goal("resnet", "share_of_step", 0.02),
)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def goals_table(figures: Figures) -> str:
    """Each goal, and whether it was reached."""
    by_name = {figure["name"]: figure for figure in figures}
    rows = []
    for goal in GOALS:
        figure = by_name.get(goal.name, {})
        value = goal.found(figure) if figure else None
        wanted = goal.shown(goal.goal, figure or {"ceiling": "its ceiling"})
        if value is None:
            rows.append([goal.name, wanted, "not measured", ""])
        else:
            rows.append([goal.name, wanted, goal.shown(value, figure), "met" if goal.met(value) else "**missed**"])
    return _table(["case", "goal", "measured", ""], rows)


def roofline_table(figures: Figures) -> str:
    """What every case has of the ceiling that bounds it."""
    rows = [
        [
            figure["case"],
            f"{1000 * figure['seconds']:.3g} ms",
            f"{figure['pairs_per_second']:.3g}",
            "" if figure["share"] is None else f"{100 * figure['share']:.0f} % of {figure['ceiling']}",
            ", ".join(f"{ratio:.3g} x {peer}" for peer, ratio in figure["peers"].items()),
        ]
        for figure in figures
    ]
    return _table(["case", "time", "pairs a second", "share", "peers"], rows)


def plot_roofline(figures: Figures, path: Path) -> None:
    """The share of the ceiling by the length of a code, a line for each op and size."""
    lines: dict[str, list[tuple[int, float]]] = {}
    for figure in figures:
        bits = re.search(r"(\d+) bits", figure["case"])
        if bits and figure["share"] is not None:
            op = re.sub(r", \d+ bits", "", figure["case"])
            lines.setdefault(op, []).append((int(bits[1]), figure["share"]))
    require("matplotlib", extra="report")
    from matplotlib.figure import Figure

    picture = Figure(figsize=(9, 5), layout="constrained")
    axes = picture.subplots()
    for op, points in lines.items():
        if len(points) > 1:
            axes.plot(*zip(*sorted(points), strict=True), "o-", label=op)
    axes.set(xlabel="bits", ylabel="share of the ceiling", xscale="log", ylim=(0, 1.1))
    axes.grid(which="both", alpha=0.3)
    axes.legend()
    picture.savefig(path)


LIMITS = {
    "Compute (SM) Throughput": "instructions",
    "L1/TEX Cache Throughput": "L1 and shared memory",
    "L2 Cache Throughput": "L2",
    "DRAM Throughput": "memory",
}
_MILLISECONDS = {"ns": 1e-6, "us": 1e-3, "ms": 1.0, "s": 1e3, "nsecond": 1e-6, "usecond": 1e-3, "msecond": 1.0}


def limits_table(lines: Iterable[str]) -> str:
    """The kernels in the output of ncu, the longest first, with what each uses most: the part of the GPU that limits it
    where that is near to all, and waiting where nothing is."""
    rows = iter(lines)
    header = next((line for line in rows if line.startswith('"ID"')), "")
    launches: dict[str, dict[str, Any]] = {}
    for row in csv.DictReader(rows, next(csv.reader([header]), [])):
        if row.get("Metric Value") is None:
            continue  # what the program or ncu says at the end
        launch = launches.setdefault(row["ID"], {"kernel": row["Kernel Name"], "shares": {}, "ms": 0.0})
        value = row["Metric Value"].replace(",", "")
        if row["Metric Name"] in LIMITS:
            launch["shares"][LIMITS[row["Metric Name"]]] = float(value)
        elif row["Metric Name"] == "Duration":
            launch["ms"] = float(value) * _MILLISECONDS[row["Metric Unit"]]
    kernels: dict[str, list[dict[str, Any]]] = {}
    for launch in launches.values():
        found = re.search(r"(\w+_kernel(?:<[^(]*>)?)\(", launch["kernel"])
        kernels.setdefault(found[1] if found else launch["kernel"], []).append(launch)
    table = []
    for kernel, all_launches in sorted(kernels.items(), key=lambda item: -_longest(item[1])["ms"]):
        longest = _longest(all_launches)
        limit, share = max(longest["shares"].items(), key=lambda item: item[1], default=("", 0.0))
        text = f"{share:.0f} % of {limit}" + ("" if share >= 60 else ", so it waits")
        table.append([f"`{kernel}`", str(len(all_launches)), f"{longest['ms']:.3g} ms", text])
    return _table(["kernel", "launches", "longest", "limited by"], table)


def _longest(launches: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    return max(launches, key=lambda launch: launch["ms"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("figures", type=Path, help="JSON file that gpu.py wrote")
    parser.add_argument("--plot", type=Path, help="picture of the roofline to write")
    parser.add_argument("--ncu", type=Path, help="what ncu printed")
    arguments = parser.parse_args()
    figures = json.loads(arguments.figures.read_text())["figures"]
    parts = [goals_table(figures), roofline_table(figures)]
    if arguments.ncu is not None:
        parts.append(limits_table(arguments.ncu.read_text().splitlines()))
    print("\n\n".join(parts))
    if arguments.plot is not None:
        plot_roofline(figures, arguments.plot)


if __name__ == "__main__":
    main()
