"""Figures as inline SVG that follows the page: its fonts, its width, its light or dark colours.

Matplotlib draws with placeholder colours, which are then replaced by the page's CSS variables. Series differ by line
style and marker as well as by colour. The SVG refers to nothing outside itself; the same numbers give the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from textwrap import fill
from typing import Any

from hashkernels import _validation as check
from hashkernels._page.html import encodable

SIZE = (4.6, 3.4)  # inches: 331 points, so that text keeps its size on a phone
_LEGEND_HEIGHT = 0.7  # inches of it, for three rows
_TITLE_LETTERS = 46  # so many fit beside a line of the legend
_INK, _GRID = "#010203", "#010204"
SERIES = ("#a10001", "#a10002", "#a10003", "#a10004", "#a10005", "#a10006")
_CSS = {_INK: "currentColor", _GRID: "var(--grid)"} | {
    color: f"var(--series-{number})" for number, color in enumerate(SERIES, 1)
}
_DASHES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), (0, (10, 3)), (0, (3, 1)))
_MARKERS = ("o", "s", "^", "D", "v", "P")


@contextmanager
def default_style() -> Iterator[None]:
    """Matplotlib as it comes: neither a style nor the LaTeX that the caller draws with gets onto a page."""
    with check.require("matplotlib.style", extra="report").context("default"), warnings.catch_warnings():
        # Letters stay letters, which the reader's fonts draw.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        yield


def new_axes(xlabel: str, ylabel: str, *, height: float = SIZE[1]) -> tuple[Any, Any]:
    """A figure for `svg`, and its axes."""
    figure = check.require("matplotlib.figure", extra="report").Figure(figsize=(SIZE[0], height), layout="constrained")
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


def look_of(number: int) -> dict[str, Any]:
    """How the line of a number looks in a figure of its own: colour, line style and marker."""
    return _lines(number, f"C{number % 10}") | {"marker": _MARKERS[number % len(_MARKERS)], "markersize": 4}


def style(number: int, title: str, *, markers: bool) -> dict[str, Any]:
    """How the line of a number looks on a page, and its label: the title letter by letter."""
    label = encodable(title).replace("$", r"\$")  # which would begin a formula
    if label.startswith("_"):  # which would keep it out of the legend
        label = f"\N{ZERO WIDTH SPACE}{label}"
    look = _lines(number, SERIES[number % len(SERIES)]) | {"label": label}
    return look | ({"marker": _MARKERS[number % len(_MARKERS)], "markersize": 4} if markers else {})


def _lines(number: int, color: str) -> dict[str, Any]:
    # Shifted after each round of colours and markers, so that no two of the first 36 lines look the same.
    dashes = _DASHES[(number + number // len(_DASHES)) % len(_DASHES)]
    return {"color": color, "linestyle": dashes, "linewidth": 1.8}


def legend(figure: Any) -> None:
    """A legend above the axes, where it can hide no line however many there are: the figure grows with it, and long
    titles are in one column, and broken into lines."""
    (axes,) = figure.axes
    lines, titles = axes.get_legend_handles_labels()
    titles = [fill(title, _TITLE_LETTERS) for title in titles]
    look = {"loc": "outside upper left", "frameon": False, "labelcolor": _INK, "fontsize": 10, "handlelength": 3}
    for columns in (2, 1):
        drawn = figure.legend(lines, titles, ncols=columns, **look)
        box = drawn.get_window_extent()
        if columns == 1 or box.width <= figure.bbox.width:
            break
        drawn.remove()
    more = box.height / figure.dpi - _LEGEND_HEIGHT
    if more > 0:
        figure.set_figheight(figure.get_figheight() + more)


def svg(figure: Any, title: str) -> str:
    """The figure as an element of a page; ``title`` says in words what it shows, and differs from those beside it."""
    matplotlib = check.require("matplotlib", extra="report")
    buffer = io.StringIO()
    # The salt keeps the ids of one figure apart from those of the next on the same page.
    salt = hashlib.sha256(encodable(title).encode()).hexdigest()
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
    return re.sub(r"<svg[^>]*>", lambda _: head, text, count=1).strip()
