"""One page about one evaluation, or about several side by side."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from importlib.metadata import version
from statistics import mean
from typing import Any, NamedTuple

from hashkernels._page.figures import SERIES, default_style, legend, new_axes, style, svg
from hashkernels._page.html import render, safe
from hashkernels._page.pictures import NeighbourGrid
from hashkernels.metrics.pages import figures
from hashkernels.metrics.pages.downloads import downloads
from hashkernels.metrics.pages.runs import Run, differences, gains

_RADIUS = 2
_ABSENT = "\N{EN DASH}"


class _Figure(NamedTuple):
    title: str
    note: str
    svg: Any


@default_style()
def render_runs(
    runs: Sequence[Run],
    *,
    title: str,
    grids: Sequence[tuple[str, NeighbourGrid]] = (),
    command: str | None = None,
) -> str:
    """The page: a whole HTML document that refers to no other file or address.

    Args:
        runs: at least one.
        title: of the page.
        grids: images of queries with their neighbours, under the title of their run.
        command: the command line that made the page.

    Raises:
        ValueError: no run. ImportError: without matplotlib or jinja2.
    """
    if not runs:
        raise ValueError("runs must hold at least one run, got none")
    parts = [part for run in runs for part in run.parts]
    return render(
        "hashkernels.metrics.pages",
        "evaluation.html.j2",
        title=title,
        runs=runs,
        best=max(runs, key=lambda run: float(run.numbers["map_expected"])),
        radii=[min(_RADIUS, run.bits) for run in runs],
        differences=differences(runs),
        gains=gains(runs),
        curves=_curves(runs),
        histograms=[(run.title, _histogram(run)) for run in runs],
        classes=_class_rows(runs),
        statistics=_statistics_rows(parts),
        evaluators=_evaluator_rows(runs),
        grids=grids,
        files=[(run.title, downloads(run)) for run in parts],
        versions={
            "hashkernels": version("hashkernels"),
            "numpy": version("numpy"),
            "python": platform.python_version(),
        },
        command=command,
        absent=_ABSENT,
    )


def _curves(runs: Sequence[Run]) -> list[_Figure]:
    def figure(title: str, note: str, draw: Callable[..., None], markers: bool = True, **options: Any) -> _Figure:
        drawing, axes = new_axes("", "")
        for number, run in enumerate(runs):
            draw(axes, run.numbers, style(number, run.title, markers=markers), **options)
        axes.minorticks_off()
        if len(runs) > 1:
            legend(drawing)
        return _Figure(title, note, safe(svg(drawing, f"{title}, one line a run")))

    ties = "the band spans all orders of ties"
    queries = "the band is the 95 % interval of the mean over queries"
    if any(len(run.parts) > 1 for run in runs):
        queries += ", the mean of those of the runs"
    return [
        figure("Precision against recall", "one point a radius, which no order of ties can move", figures.draw_pr),
        figure("Precision at k", ties, figures.draw_at_rank, value="precision"),
        figure("Recall at k", ties, figures.draw_at_rank, value="recall"),
        figure("Precision within a radius", f"an empty ball counts as 0; {queries}", figures.draw_within),
        figure("Recall within a radius", queries, figures.draw_within, value="recall"),
        figure(
            "Mean average precision within a radius",
            f"over the hits in the ball, without one 0; {queries}",
            figures.draw_within,
            value="map",
        ),
    ]


def _histogram(run: Run) -> Any:
    drawing, axes = new_axes("", "", height=2.7)
    figures.draw_distances(axes, run.numbers, SERIES[:2])
    legend(drawing)
    return safe(svg(drawing, f"{run.title}: distances of relevant pairs and of other pairs"))


def _class_rows(runs: Sequence[Run]) -> list[tuple[int, int, list[float | None]]]:
    """Class, queries, and the value of each run; the class that fares worst in the first run first."""
    tables: list[dict[int, tuple[int, float]]] = []
    for run in runs:
        cells_of: dict[int, list[tuple[int, float]]] = {}
        for part in run.parts:
            found = part.numbers.get("per_class") or {"classes": [], "num_queries": [], "average_precision": []}
            columns = (found["classes"], found["num_queries"], found["average_precision"])
            for name, count, value in zip(*columns, strict=True):
                cells_of.setdefault(name, []).append((count, value))
        tables.append(
            {
                name: (max(cells)[0], mean(value for _, value in cells))
                for name, cells in cells_of.items()
                if len(cells) == len(run.parts)
            }
        )
    rows = []
    for name in sorted(set().union(*tables)):
        cells = [table.get(name) for table in tables]
        count = max(cell[0] for cell in cells if cell is not None)
        rows.append((name, count, [None if cell is None else cell[1] for cell in cells]))
    return sorted(rows, key=lambda row: (row[2][0] is None, row[2][0] or 0.0, row[0]))


def _statistics_rows(runs: Sequence[Run]) -> list[list[str]]:
    rows = []
    for run in runs:
        for part in ("query", "database"):
            found = run.numbers.get(f"{part}_statistics")
            if found is not None:
                entropy = found["bit_entropy"]
                rows.append(
                    [
                        f"{run.title}, {'queries' if part == 'query' else part}",
                        f"{found['distinct_codes']:,} of {found['num_codes']:,}",
                        f"{found['collisions']:,}",
                        f"{found['code_entropy']:.2f}",
                        str(found["constant_bits"]),
                        f"{min(entropy):.3f} {_ABSENT} {max(entropy):.3f}",
                        f"{found['mean_correlation']:.3f}, {found['greatest_correlation']:.3f}",
                    ]
                )
    return rows


def _evaluator_rows(runs: Sequence[Run]) -> list[tuple[str, str, list[float | None]]]:
    """Evaluator, definition, and what it would print for each run, in the order of the first run that has them."""
    rows: dict[tuple[str, str], list[list[float]]] = {}
    for place, run in enumerate(runs):
        for row in (row for part in run.parts for row in part.numbers.get("compat") or ()):
            cells = rows.setdefault((row["evaluator"], row["definition"]), [[] for _ in runs])
            if row["map"] is not None:
                cells[place].append(row["map"])
    return [
        (*names, [mean(cell) if len(cell) == len(run.parts) else None for run, cell in zip(runs, cells, strict=True)])
        for names, cells in rows.items()
    ]
