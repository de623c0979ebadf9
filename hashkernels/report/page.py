"""One HTML page with everything in it: tables, figures, images, settings. It loads nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hashkernels._page.figures import default_style
from hashkernels._page.html import render, safe
from hashkernels.data import RetrievalSplit
from hashkernels.report import plots
from hashkernels.report.experiment import PRECISION_RADIUS, MethodResult, versions
from hashkernels.report.images import neighbour_grid


@default_style()
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
        ValueError: no results, or results of different numbers of bits.
        ImportError: without matplotlib or jinja2.
    """
    if not results:
        raise ValueError("results must not be empty")
    bits = sorted({result.report.bits for result in results})
    if len(bits) > 1:
        raise ValueError(f"results must all have the same number of bits, got {', '.join(map(str, bits))}")
    best = max(results, key=lambda result: result.report.map)
    shared, differing = _training(results)
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
            _curve(results, "Loss", "mean over the items of an epoch", log=True),
            _curve(results, "Distinct codes", "different codes among the training items", log=True),
            _curve(results, "Bit balance", "1 when every bit splits the items in halves, 0 when all bits are constant"),
        ],
        grids=[(result, neighbour_grid(split, result)) for result in results],
        shared=shared,
        differing=differing,
        settings=dict(settings or {}),
        versions=versions(),
        command=command,
    )


def _curve(results: Sequence[MethodResult], title: str, note: str, *, log: bool = False) -> tuple[str, str, Any]:
    """Title, note and figure of the training curves of one value of the records."""
    label = title.lower()
    series = label.replace(" ", "_")
    # A log axis cannot show what is not positive, as some losses (mutual information) are.
    log = log and all(min(result.history.series(series)) > 0 for result in results)
    figure = plots.training_curve(results, series, label, log=log)
    return title, f"{note}, log scale" if log else note, safe(figure)


def _training(results: Sequence[MethodResult]) -> tuple[dict[str, Any], dict[str, str]]:
    """The settings that all methods were trained with, and in words those in which they differ."""
    settings = [result.history.settings for result in results]
    shared = {name: value for name, value in settings[0].items() if all(other.get(name) == value for other in settings)}
    differing = {
        name: ", ".join(f"{result.title} {result.history.settings.get(name)}" for result in results)
        for name in settings[0]
        if name not in shared
    }
    return shared, differing
