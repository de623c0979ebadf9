"""Figures that compare trained methods, as SVG."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hashkernels._page.figures import SERIES, legend, new_axes, style, svg
from hashkernels.report.experiment import MethodResult


def precision_recall(results: Sequence[MethodResult]) -> str:
    """Mean precision against mean recall, one point for each Hamming radius."""
    figure, axes = new_axes("recall", "precision")
    for number, result in enumerate(results):
        precision, recall = result.report.pr_curve
        # The radii in which no query finds anything have precision 0 by convention, not by measurement.
        shown = recall > 0
        axes.plot(recall[shown], precision[shown], **style(number, result.title, markers=True))
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.04)
    legend(figure)
    return svg(figure, "Precision against recall by Hamming radius, one line a method")


def precision_by_radius(results: Sequence[MethodResult]) -> str:
    """Mean precision within each Hamming radius."""
    figure, axes = new_axes("Hamming radius", "precision")
    for number, result in enumerate(results):
        precision = result.report.precision_within
        axes.plot(np.arange(len(precision)), precision, **style(number, result.title, markers=True))
    axes.set_ylim(-0.02, 1.04)
    axes.xaxis.get_major_locator().set_params(integer=True)
    legend(figure)
    return svg(figure, "Precision within each Hamming radius, one line a method")


def distance_histogram(result: MethodResult) -> str:
    """Shares of the same-class and of the different-class pairs at each Hamming distance."""
    figure, axes = new_axes("Hamming distance", "share of pairs", height=2.7)
    distances = np.arange(result.report.bits + 1)
    parts = zip(result.report.distance_histogram, ("same class", "different class"), ("", "////"), strict=True)
    for number, (counts, label, hatch) in enumerate(parts):
        axes.bar(
            distances,
            counts / max(int(counts.sum()), 1),
            width=0.9,
            label=label,
            color=SERIES[number] if not hatch else "none",
            edgecolor=SERIES[number],
            hatch=hatch,
            linewidth=0.8,
            alpha=0.85,
        )
    axes.set_xlim(-1, result.report.bits + 1)
    legend(figure)
    return svg(figure, f"{result.title}: distances of same-class pairs and of different-class pairs")


def training_curve(results: Sequence[MethodResult], series: str, label: str, *, log: bool = False) -> str:
    """One value of the epoch records over the epochs, one line a method."""
    figure, axes = new_axes("epoch", label)
    curves = [result.history.series(series) for result in results]
    for number, (result, values) in enumerate(zip(results, curves, strict=True)):
        axes.plot(range(1, len(values) + 1), values, **style(number, result.title, markers=len(values) < 2))
    if log:
        axes.set_yscale("log")
    elif all(min(values) >= 0 for values in curves):
        axes.set_ylim(bottom=0)
    axes.xaxis.get_major_locator().set_params(integer=True)
    legend(figure)
    return svg(figure, f"{label} over the epochs, one line a method")
