"""Figures as inline SVG that follows the page: its fonts, its width, its light or dark colours.

Matplotlib draws with placeholder colours, which are then replaced by the page's CSS variables. Series differ by line
style and marker as well as by colour. The SVG refers to nothing outside itself; the same numbers give the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from hashkernels import _validation as check
from hashkernels.report.experiment import MethodResult

_SIZE = (4.6, 3.4)  # inches: 331 points, so that text keeps its size on a phone
_INK, _GRID = "#010203", "#010204"
_SERIES = ("#a10001", "#a10002", "#a10003", "#a10004", "#a10005", "#a10006")
_CSS = {_INK: "currentColor", _GRID: "var(--grid)"} | {
    color: f"var(--series-{number})" for number, color in enumerate(_SERIES, 1)
}
_DASHES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), (0, (10, 3)), (0, (3, 1)))
_MARKERS = ("o", "s", "^", "D", "v", "P")


def precision_recall(results: Sequence[MethodResult]) -> str:
    """Mean precision against mean recall, one point for each Hamming radius."""
    figure, axes = _axes("recall", "precision")
    for number, result in enumerate(results):
        precision, recall = result.report.pr_curve
        # The radii in which no query finds anything have precision 0 by convention, not by measurement.
        shown = recall > 0
        axes.plot(recall[shown], precision[shown], label=result.title, **_style(number, markers=True))
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.04)
    _legend(figure)
    return _svg(figure, "Precision against recall by Hamming radius, one line a method")


def precision_by_radius(results: Sequence[MethodResult]) -> str:
    """Mean precision within each Hamming radius."""
    figure, axes = _axes("Hamming radius", "precision")
    for number, result in enumerate(results):
        precision = result.report.precision_within
        axes.plot(np.arange(len(precision)), precision, label=result.title, **_style(number, markers=True))
    axes.set_ylim(-0.02, 1.04)
    axes.xaxis.get_major_locator().set_params(integer=True)
    _legend(figure)
    return _svg(figure, "Precision within each Hamming radius, one line a method")


def distance_histogram(result: MethodResult) -> str:
    """Shares of the same-class and of the different-class pairs at each Hamming distance."""
    figure, axes = _axes("Hamming distance", "share of pairs", height=2.7)
    distances = np.arange(result.report.bits + 1)
    parts = zip(result.report.distance_histogram, ("same class", "different class"), ("", "////"), strict=True)
    for number, (counts, label, hatch) in enumerate(parts):
        axes.bar(
            distances,
            counts / max(int(counts.sum()), 1),
            width=0.9,
            label=label,
            color=_SERIES[number] if not hatch else "none",
            edgecolor=_SERIES[number],
            hatch=hatch,
            linewidth=0.8,
            alpha=0.85,
        )
    axes.set_xlim(-1, result.report.bits + 1)
    _legend(figure)
    return _svg(figure, f"{result.title}: distances of same-class pairs and of different-class pairs")


def training_curve(results: Sequence[MethodResult], series: str, label: str, *, log: bool = False) -> str:
    """One value of the epoch records over the epochs, one line a method."""
    figure, axes = _axes("epoch", label)
    for number, result in enumerate(results):
        values = result.history.series(series)
        axes.plot(range(1, len(values) + 1), values, label=result.title, **_style(number, markers=len(values) < 2))
    if log:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.xaxis.get_major_locator().set_params(integer=True)
    _legend(figure)
    return _svg(figure, f"{label} over the epochs, one line a method")


def _axes(xlabel: str, ylabel: str, *, height: float = _SIZE[1]) -> tuple[Any, Any]:
    figure = check.require("matplotlib.figure", extra="report").Figure(figsize=(_SIZE[0], height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(xlabel, color=_INK)
    axes.set_ylabel(ylabel, color=_INK)
    axes.tick_params(colors=_INK, labelsize=10, length=3)
    axes.minorticks_off()
    axes.grid(color=_GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(_INK)
    return figure, axes


def _style(number: int, *, markers: bool) -> dict[str, Any]:
    style = {"color": _SERIES[number % len(_SERIES)], "linestyle": _DASHES[number % len(_DASHES)], "linewidth": 1.8}
    return style | ({"marker": _MARKERS[number % len(_MARKERS)], "markersize": 4} if markers else {})


def _legend(figure: Any) -> None:
    # Above the axes, where it can hide no line however many methods there are.
    figure.legend(loc="outside upper left", ncols=2, frameon=False, labelcolor=_INK, fontsize=10, handlelength=3)


def _svg(figure: Any, title: str) -> str:
    matplotlib = check.require("matplotlib", extra="report")
    buffer = io.StringIO()
    # The salt keeps the ids of one figure apart from those of the next on the same page.
    salt = hashlib.sha256(title.encode()).hexdigest()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt, "hatch.linewidth": 0.8}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href", "href")
    # Groups are numbered alike in every figure, and nothing refers to them.
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", text)
    for placeholder, css in _CSS.items():
        text = text.replace(placeholder, css)
    view_box = re.search(r'viewBox="[^"]*"', text)
    assert view_box is not None
    head = f'<svg {view_box.group()} role="img" aria-label="{escape(title)}">'
    return re.sub(r"<svg[^>]*>", head, text, count=1).strip()
