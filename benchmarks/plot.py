"""A picture of the measurements of top-k by the length of a code: how many times as fast as FAISS, the rate, and how
near one query, which has to read every code, comes to the rate at which memory can be read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hashkernels._validation import require

from .harness import OURS, Case
from .limits import READ

_MANY, _K = 1000, 10
_NEEDED = f"needs measurements of topk with {_MANY} random queries and k = {_K}"


def check_plot(cases: Iterable[Case], path: Path, *, quick: bool) -> None:
    """Raise ``ValueError`` unless the suffix of ``path`` names a format, and what is measured can be drawn."""
    formats = require("matplotlib.figure", extra="report").Figure().canvas.get_supported_filetypes()
    if path.suffix.removeprefix(".").lower() not in formats:
        raise ValueError(f"plot must end in one of .{', .'.join(formats)}, got {path}")
    if not any(case.family == "topk" and _is_drawn(case.quick if quick else case.full, _MANY) for case in cases):
        raise ValueError(f"plot {_NEEDED}, got no such case{' with --quick' if quick else ''}")


def plot_topk(measurements: Sequence[Mapping[str, Any]], limits: Mapping[int, Mapping[str, float]], path: Path) -> None:
    """Draws the rows with 1000 uniform queries and k = 10, and those with one, into a file whose suffix names its
    format. ``limits``: those of the machine, by the number of threads."""
    rows, single = _rows(measurements, _MANY), _rows(measurements, 1)
    if not rows:
        raise ValueError(f"plot {_NEEDED}, got none")
    require("matplotlib", extra="report")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 4), layout="constrained")
    ratios, rates, roof = figure.subplots(1, 3)
    for threads in sorted({row["threads"] for row in rows}):
        own = [row for row in rows if row["threads"] == threads]
        bits = [row["size"]["bits"] for row in own]
        label = f"{threads} thread{'s' if threads > 1 else ''}"
        faiss = [min((row["ratio"][name] for name in row["ratio"] if "faiss" in name), default=None) for row in own]
        ratios.plot(bits, [float("nan") if ratio is None else ratio for ratio in faiss], "o-", label=label)
        rates.plot(bits, [row["rate"] / 1e9 for row in own], "o-", label=f"{OURS}, {label}")
        alone = [row for row in single if row["threads"] == threads]
        each = [row["size"]["bits"] for row in alone]
        roof.plot(each, [row["rate"] / 1e9 for row in alone], "o", label=f"{OURS}, {label}")
        if threads in limits and alone:
            roof.plot(each, [limits[threads][READ] / (n / 8) / 1e9 for n in each], "--", label=f"memory, {label}")
    ratios.set_ylabel("times as fast as FAISS's flat index, the better variant")
    rates.set_ylabel(f"billions of pairs a second, {_MANY} queries")
    roof.set_ylabel("billions of codes a second, one query")
    for axes in (ratios, rates, roof):
        # Without FAISS there are no ratios, without a case of one query no rates of it; logarithms take no empty axes.
        drawn = [value for line in axes.lines for value in line.get_ydata() if value > 0]
        axes.set(xlabel="bits", **({"xscale": "log", "yscale": "log"} if drawn else {}))
        axes.grid(which="both", alpha=0.3)
        if drawn:
            axes.legend()
    figure.savefig(path)


def _rows(measurements: Sequence[Mapping[str, Any]], queries: int) -> list[Mapping[str, Any]]:
    """Of top-10 among random codes, by width."""
    of_size = [row for row in measurements if row["family"] == "topk" and _is_drawn(row["size"], queries)]
    return sorted(of_size, key=lambda row: (row["threads"], row["size"]["bits"], row["size"]["database"]))


def _is_drawn(size: Mapping[str, Any], queries: int) -> bool:
    return tuple(map(size.get, ("queries", "k", "codes"))) == (queries, _K, "random")
