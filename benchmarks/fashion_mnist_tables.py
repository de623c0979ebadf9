"""Tables and curves of the training runs that ``train_fashion_mnist.py`` left.

    python benchmarks/fashion_mnist_tables.py

Writes ``benchmarks/results/fashion_mnist.md``, with what ``fashion_mnist_notes.md`` says of the figures, and the curves
as ``fashion_mnist_*.svg``.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure
from train_fashion_mnist import CONSTRUCTIONS, MARGINS, RUNS, WEIGHTS, WITH_POSTERIOR, experiments, read_runs

from hashkernels.centers.bounds import ecm_margin, plotkin_margin
from hashkernels.data.files import save_text
from hashkernels.report import markdown_table
from hashkernels.train import method_title

RESULTS = RUNS.parent
ENOUGH = 0.75
TEXT = RESULTS / "fashion_mnist_notes.md"


class Cell(NamedTuple):
    """Runs that differ by their seeds alone."""

    runs: list[dict[str, Any]]

    def values(self, name: str) -> list[float]:
        return [run[name] for run in self.runs]

    def mean(self, name: str = "map") -> float:
        return statistics.fmean(self.values(name))

    def spread(self, name: str = "map") -> float:
        return statistics.stdev(self.values(name)) if len(self.runs) > 1 else 0.0

    def text(self, name: str = "map") -> str:
        """The mean, the standard deviation, and each seed; of a single seed its value."""
        if len(self.runs) == 1:
            return f"{self.mean(name):.3f}"
        seeds = " ".join(f"{value:.3f}" for value in self.values(name))
        return f"{self.mean(name):.3f} ± {self.spread(name):.3f} ({seeds})"

    def whole(self, name: str) -> str:
        return ", ".join(str(value) for value in self.values(name))


class Cells:
    """All runs, by experiment, setting, bits and classes, the seeds in order."""

    def __init__(self, runs: Iterable[dict[str, Any]]) -> None:
        self._cells: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
        for run in sorted(runs, key=lambda run: run["seed"]):
            if not run["held_out"]:
                self._cells[run["experiment"], run["setting"], run["bits"], run["classes"]].append(run)

    def get(self, experiment: str, setting: str | float, bits: int, classes: int = 10) -> Cell | None:
        runs = self._cells.get((experiment, setting, bits, classes))
        return Cell(runs) if runs else None


def methods_table(cells: Cells) -> str:
    rows = []
    for setting, bits, _ in experiments()["methods"]:
        if bits != 32:
            continue
        row = [method_title(str(setting))]
        for length in (16, 32, 64):
            cell = cells.get("methods", setting, length)
            row.append("-" if cell is None else cell.text())
        cell = cells.get("methods", setting, 32)
        row += ["-", "-"] if cell is None else [cell.whole("min_center_distance"), cell.whole("distinct_codes")]
        rows.append(row)
    header = ["method", "16 bits", "32 bits", "64 bits", "center distance at 32", "distinct codes at 32"]
    return markdown_table(header, rows)


def posterior_table(cells: Cells) -> str:
    """X_D against X: the difference of the means, and seed by seed."""
    rows = []
    for name in WITH_POSTERIOR:
        row = [method_title(name)]
        for bits in (16, 32, 64):
            plain, wrapped = cells.get("methods", name, bits), cells.get("methods", f"{name}_d", bits)
            if plain is None or wrapped is None:
                row.append("-")
                continue
            by_seed = {run["seed"]: run["map"] for run in plain.runs}
            gains = [run["map"] - by_seed[run["seed"]] for run in wrapped.runs if run["seed"] in by_seed]
            row.append(f"{statistics.fmean(gains):+.3f} ({' '.join(f'{gain:+.3f}' for gain in gains)})")
        rows.append(row)
    return markdown_table(["X_D minus X", "16 bits", "32 bits", "64 bits"], rows)


def centers_table(cells: Cells) -> str:
    rows = []
    for name in CONSTRUCTIONS:
        row = [name.replace("_", "-")]
        for bits in (16, 32, 48):
            cell = cells.get("centers", name, bits)
            row.append("-" if cell is None else f"{cell.text()}; d = {cell.whole('target_distance')}")
        rows.append(row)
    bounds = [cells.get("centers", "best", bits) for bits in (16, 32, 48)]
    rows.append(
        ["upper bound on d", *("-" if cell is None else str(cell.runs[0]["distance_bound"]) for cell in bounds)]
    )
    return markdown_table(["centers of CSQ", "16 bits", "32 bits", "48 bits"], rows)


def margins_table(cells: Cells, classes: int) -> str:
    rows = []
    for margin in MARGINS:
        row = [str(margin)]
        for bits in (16, 32, 64):
            cell = cells.get("margins", margin, bits, classes)
            row.append("-" if cell is None else cell.text())
        rows.append(row)
    alphas = [
        f"{ecm_margin(bits, classes)} / {plotkin_margin(bits=bits, num_classes=classes):.1f}" for bits in (16, 32, 64)
    ]
    rows.append(["alpha of ecm / plotkin", *alphas])
    return markdown_table([f"margin, {classes} classes", "16 bits", "32 bits", "64 bits"], rows)


def weights_table(cells: Cells) -> str:
    rows = []
    for weight in WEIGHTS:
        cell = cells.get("weights", weight, 32)
        if cell is not None:
            rows.append([f"{weight:g}", cell.text(), cell.text("precision_within_2"), cell.whole("distinct_codes")])
    return markdown_table(["quantization weight", "mAP", "P@H<=2", "distinct codes"], rows)


def short_of_enough(cells: Cells) -> list[str]:
    """Methods whose mean mAP at 32 bits is below what is asked."""
    found = []
    for setting, bits, _ in experiments()["methods"]:
        cell = cells.get("methods", setting, bits)
        if bits == 32 and cell is not None and cell.mean() < ENOUGH:
            found.append(f"{method_title(str(setting))} ({cell.mean():.3f})")
    return found


def curves(lines: dict[str, Sequence[tuple[float, Cell]]], name: str, labels: tuple[str, str], log: bool) -> Figure:
    figure = Figure(figsize=(7.5, 4.5), layout="constrained")
    axes = figure.subplots()
    styles = ("-o", "--s", ":^")
    for number, (label, points) in enumerate(lines.items()):
        x = [position for position, _ in points]
        mean, spread = [cell.mean(name) for _, cell in points], [cell.spread(name) for _, cell in points]
        axes.errorbar(x, mean, spread, fmt=styles[number // 10 % 3], markersize=4, capsize=2, label=label)
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    if log:
        axes.set_xscale("symlog", linthresh=1e-4)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="x-small", ncols=1, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def save_curves(cells: Cells, folder: Path) -> None:
    mpl.rcParams["svg.hashsalt"] = "fashion-mnist"  # the same file for the same numbers

    def line(
        experiment: str, setting: str | float, lengths: Sequence[int], classes: int = 10
    ) -> list[tuple[float, Cell]]:
        found = [(bits, cells.get(experiment, setting, bits, classes)) for bits in lengths]
        return [(bits, cell) for bits, cell in found if cell is not None]

    names = [str(setting) for setting, bits, _ in experiments()["methods"] if bits == 32]
    radius = {method_title(name): line("methods", name, (16, 32, 64)) for name in names}
    margins = {f"{m}, {c} classes": line("margins", m, (16, 32, 64), c) for c in (10, 5) for m in MARGINS}
    found = [(weight, cells.get("weights", weight, 32)) for weight in WEIGHTS]
    weights = {"ECM, Plotkin margin": [(weight, cell) for weight, cell in found if cell is not None]}
    for part, lines, name, labels in (
        ("radius", radius, "precision_within_2", ("bits", "precision within Hamming radius 2")),
        ("margins", margins, "map", ("bits", "mAP")),
        ("weights", weights, "map", ("quantization weight", "mAP")),
    ):
        figure = curves(lines, name, labels, part == "weights")
        figure.savefig(folder / f"fashion_mnist_{part}.svg", metadata={"Date": None})


def markdown(cells: Cells, example: dict[str, Any], notes: str) -> str:
    train, queries, database = example["sizes"]
    network = ", ".join(f"{name} {value}" for name, value in example["network"].items())
    short = ", ".join(short_of_enough(cells)) or "none"
    return f"""# Training on Fashion-MNIST

Mean over the seeds ± standard deviation, and each seed; a bare number is of seed 0 alone. mAP over the whole database,
ties by distance averaged.

{notes}
## Methods

{methods_table(cells)}

Below {ENOUGH} at 32 bits: {short}.

## What the surrogate posterior adds

{posterior_table(cells)}

## Centers

{centers_table(cells)}

## Margin of the error-correction loss

{margins_table(cells, 10)}

{margins_table(cells, 5)}

![mAP by margin](fashion_mnist_margins.svg)

## Weight of the quantization term

{weights_table(cells)}

![mAP by quantization weight](fashion_mnist_weights.svg)

## Precision within Hamming radius 2

![Precision within radius 2 by code length](fashion_mnist_radius.svg)

## How it was made

- Data: {train} training images, {queries} queries, {database} in the database: {example["protocol"]}.
- Network: two convolutions from scratch ({network}), batch normalisation after the hash layer. It is small, so that
  all runs fit on one core in an hour and a half; networks of four times the width reach more
  (`fashion_mnist_32bits.md`).
- Seeds draw weights, centers and the order of the items.
- Training: Adam, {", ".join(f"{name} {value}" for name, value in example["training"].items())}; MIHash has a schedule
  of its own and DTSH, MIHash and class-wise ECM have options of their own (`hashkernels train --list`), chosen on 1,000
  held-out training images (`--held-out`), without a look at the queries.
- Evaluation: {example["evaluation"]}.
- Every run is a line of `training_runs.jsonl`: settings, bounds of mAP by ties, distances, losses by epoch, seconds.
- Made by `python benchmarks/train_fashion_mnist.py --data PATH` and `python benchmarks/fashion_mnist_tables.py`.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=RUNS)
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder")
    options = parser.parse_args()
    runs = read_runs(options.runs)
    cells = Cells(runs)
    notes = TEXT.read_text() if TEXT.exists() else ""
    example = next(run for run in runs if run["setting"] == "csq" and run["experiment"] == "methods")
    save_text(options.output / "fashion_mnist.md", markdown(cells, example, notes))
    save_curves(cells, options.output)


if __name__ == "__main__":
    main()
