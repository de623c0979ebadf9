"""Curves of an evaluation on matplotlib axes, for papers and for pages.

Runs differ by line style and marker as well as by colour. Only the axes that are given are drawn on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

_BAND = {"alpha": 0.18, "linewidth": 0}
_NORMAL_95 = 1.959963984540054


def draw_pr(axes: Any, numbers: Mapping[str, Any], look: Mapping[str, Any]) -> None:
    """Mean precision against mean recall, a point for each radius within which anything relevant lies."""
    precision, recall = np.asarray(numbers["precision_within"]), np.asarray(numbers["recall_within"])
    shown = recall > 0
    axes.plot(recall[shown], precision[shown], **look)
    axes.set(xlabel="recall", ylabel="precision", xlim=(-0.02, 1.02), ylim=(-0.02, 1.04))


def draw_at_rank(axes: Any, numbers: Mapping[str, Any], look: Mapping[str, Any], *, value: str = "precision") -> None:
    """Mean precision or recall among the first k items, with the band that all orders of ties span."""
    curve = numbers["rank_curve"]
    ranks, band = curve["ranks"], curve[value]
    (line,) = axes.plot(ranks, band["expected"], **{"markevery": 6} | dict(look))
    axes.fill_between(ranks, band["least"], band["greatest"], color=line.get_color(), **_BAND)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda rank, _: f"{rank:,.0f}")
    axes.set(xlabel="items retrieved k", ylabel=f"{value} at k", ylim=(-0.02, 1.04))


def draw_within(axes: Any, numbers: Mapping[str, Any], look: Mapping[str, Any], *, value: str = "precision") -> None:
    """Mean precision, recall or average precision ("map") within each radius, with the 95 % interval of the mean."""
    mean = np.asarray(numbers[f"{value}_within"])
    error = _NORMAL_95 * np.asarray(numbers["standard_errors"][f"{value}_within"])
    radii = np.arange(mean.size)
    (line,) = axes.plot(radii, mean, **dict(look))
    axes.fill_between(radii, np.clip(mean - error, 0, 1), np.clip(mean + error, 0, 1), color=line.get_color(), **_BAND)
    name = {"map": "mean average precision"}.get(value, value)
    axes.set(xlabel="Hamming radius", ylabel=f"{name} within", ylim=(-0.02, 1.04))
    axes.xaxis.get_major_locator().set_params(integer=True)


def draw_distances(axes: Any, numbers: Mapping[str, Any], colors: tuple[str, str] = ("C0", "C1")) -> None:
    """Shares of the relevant and of the other pairs at each distance, the relevant ones filled, the others hatched."""
    histogram = numbers["distance_histogram"]
    parts = zip((histogram["relevant"], histogram["irrelevant"]), ("relevant", "other"), colors, strict=True)
    for pairs, label, color in parts:
        counts = np.asarray(pairs)
        filled = label == "relevant"
        axes.bar(
            np.arange(counts.size),
            counts / max(int(counts.sum()), 1),
            width=0.9,
            label=label,
            color=color if filled else "none",
            edgecolor=color,
            hatch=None if filled else "////",
            linewidth=0.8,
            alpha=0.85,
        )
    axes.set(xlabel="Hamming distance", ylabel="share of pairs", xlim=(-1, counts.size))


def draw_per_class(axes: Any, numbers: Mapping[str, Any], look: Mapping[str, Any]) -> None:
    """Mean average precision of each class, least first."""
    values = np.asarray(numbers["per_class"]["average_precision"])
    order = np.argsort(values, kind="stable")
    names = [str(numbers["per_class"]["classes"][index]) for index in order]
    plain = {name: look[name] for name in ("color", "label") if name in look}
    axes.barh(names, values[order], **plain)
    axes.set(xlabel="mean average precision", ylabel="class", xlim=(0, 1))
