"""A report as a file."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hashkernels._files import atomic_write, printable
from hashkernels._page.pictures import NeighbourGrid
from hashkernels.metrics.pages.page import render_runs
from hashkernels.metrics.pages.runs import Run
from hashkernels.metrics.report import RetrievalReport

FORMATS = (".html", ".json")


def check_format(path: str | os.PathLike[str], name: str = "path", formats: Sequence[str] = FORMATS) -> None:
    """Raise ``ValueError`` unless the name ends in a format that can be written, by default of a report."""
    if Path(path).suffix not in formats:
        raise ValueError(f"{name} must end in {', '.join(formats[:-1])} or {formats[-1]}, got {path}")


def save_report(
    report: RetrievalReport,
    path: str | os.PathLike[str],
    *,
    title: str | None,
    grid: NeighbourGrid | None,
    command: str | None,
) -> None:
    """``RetrievalReport.save``."""
    check_format(path)
    title = printable(title or Path(path).stem)
    numbers = numbers_of(report)
    if Path(path).suffix == ".json":
        text = json.dumps({"title": title, **numbers}, allow_nan=False) + "\n"
    else:
        grids = [] if grid is None else [(title, grid)]
        text = render_runs([Run(title, numbers)], title=title, grids=grids, command=command)
    with atomic_write(path) as file:
        file.write(text.encode())


def numbers_of(report: RetrievalReport) -> dict[str, Any]:
    """All that a file keeps: the values of each query, too, and the interval over the draw of the queries."""
    return {**report.to_dict(per_query=True), "bootstrap": report.bootstrap()._asdict()}
