"""A picture of the measurements of top-k by the length of a code: how many times as fast as FAISS, and the rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hashkernels._validation import require

from .harness import OURS

_QUERIES, _K = 1000, 10


def plot_topk(measurements: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draws the rows with 1000 uniform queries and k = 10 into a file whose suffix names its format."""
    rows = [row for row in measurements if row["family"] == "topk" and _belongs(row["size"])]
    if not rows:
        raise ValueError(f"plot needs measurements of topk with {_QUERIES} random queries and k = {_K}, got none")
    require("matplotlib", extra="report")
    from matplotlib.figure import Figure

    rows.sort(key=lambda row: (row["threads"], row["size"]["bits"]))
    figure = Figure(figsize=(10, 4), layout="constrained")
    ratios, rates = figure.subplots(1, 2)
    for threads in sorted({row["threads"] for row in rows}):
        own = [row for row in rows if row["threads"] == threads]
        bits = [row["size"]["bits"] for row in own]
        label = f"{threads} thread{'s' if threads > 1 else ''}"
        faiss = [min((row["ratio"][name] for name in row["ratio"] if "faiss" in name), default=None) for row in own]
        ratios.plot(bits, [float("nan") if ratio is None else ratio for ratio in faiss], "o-", label=label)
        rates.plot(bits, [row["rate"] / 1e9 for row in own], "o-", label=f"{OURS}, {label}")
    ratios.set_ylabel("times as fast as FAISS's flat index, the better variant")
    rates.set_ylabel("billions of pairs a second")
    for axes in (ratios, rates):
        axes.set(xlabel="bits", xscale="log", yscale="log")
        axes.grid(which="both", alpha=0.3)
        axes.legend()
    figure.savefig(path)


def _belongs(size: Mapping[str, Any]) -> bool:
    return (size.get("queries"), size.get("k"), size.get("codes")) == (_QUERIES, _K, "random")
