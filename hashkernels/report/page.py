"""One HTML page with everything in it: tables, figures, images, settings. It loads nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hashkernels._page.html import render, safe
from hashkernels.data import RetrievalSplit
from hashkernels.report import plots
from hashkernels.report.experiment import PRECISION_RADIUS, MethodResult, versions
from hashkernels.report.images import neighbour_grid


def render_page(
    split: RetrievalSplit,
    results: Sequence[MethodResult],
    *,
    command: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> str:
    """The report of some methods on one split.

    Args:
        split: what they were trained and evaluated on.
        results: at least one, all with the same number of bits.
        command: the command line that made them, shown so that it can be repeated.
        settings: further settings to list.

    Returns:
        A whole HTML document that refers to no other file or address.

    Raises:
        ValueError: no results.
        ImportError: without matplotlib or jinja2.
    """
    if not results:
        raise ValueError("results must not be empty")
    best = max(results, key=lambda result: result.report.map)
    return render(
        "hashkernels.report",
        "page.html.j2",
        split=split,
        results=results,
        best=best,
        report=best.report,
        cutoff=best.report.ks[0],
        radius=PRECISION_RADIUS,
        precision_recall=safe(plots.precision_recall(results)),
        precision_by_radius=safe(plots.precision_by_radius(results)),
        histograms=[(result.title, safe(plots.distance_histogram(result))) for result in results],
        curves=[
            ("Loss", "mean over the items of an epoch, log scale", safe(_curve(results, "loss", "loss", log=True))),
            (
                "Distinct codes",
                "different codes among the training items, log scale",
                safe(_curve(results, "distinct_codes", "distinct codes", log=True)),
            ),
            (
                "Bit balance",
                "1 when every bit splits the items in halves, 0 when all bits are constant",
                safe(_curve(results, "bit_balance", "bit balance")),
            ),
        ],
        grids=[(result, neighbour_grid(split, result)) for result in results],
        training=best.history.settings,
        settings=dict(settings or {}),
        versions=versions(),
        command=command,
    )


def _curve(results: Sequence[MethodResult], series: str, label: str, *, log: bool = False) -> str:
    # A log axis cannot show what is not positive, as some losses (mutual information) are.
    positive = all(min(result.history.series(series)) > 0 for result in results)
    return plots.training_curve(results, series, label, log=log and positive)
