"""compare."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated

import typer

from hashkernels._files import printable
from hashkernels._page.html import encodable
from hashkernels._warnings import HashkernelsWarning
from hashkernels.cli.console import command_line, emit, require_pages
from hashkernels.cli.options import Force, Json
from hashkernels.data.files import check_output_files, save_text
from hashkernels.metrics.pages.comparison import TABLES, compare_text
from hashkernels.metrics.pages.groups import COMPARED, average_by_title
from hashkernels.metrics.pages.page import render_runs
from hashkernels.metrics.pages.runs import differences, distinct, gains, load_runs
from hashkernels.metrics.pages.save import check_format

# What `compare --json` tells of each run.
_TOLD = (*COMPARED, "settings", "quote")


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="JSON of evaluate -o, evaluate --json or train --report, or results.json of demo; the first is "
            "compared with."
        ),
    ],
    by_title: Annotated[
        bool,
        typer.Option(
            "--by-title",
            help="A row for all runs of one title and code length, of several seeds, say: mean ± standard deviation.",
        ),
    ] = False,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write a page (.html), or the table to paste (.md; .tex, for booktabs) or with every digit (.csv), "
            "repeatable.",
        ),
    ] = None,
    title: Annotated[str, typer.Option(help="Of the page.")] = "Comparison",
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Show several evaluations side by side, with the settings in which they differ.

    Where the files hold the values of every query (evaluate -o does) and the queries are the same (as many relevant
    items for each), the last column is the difference of mAP to the first run, with its 95 % interval over the draw of
    the queries.

    With --by-title a row holds means over the runs of one title (as --title of evaluate and train says) and code
    length, ± their sample standard deviation (divided by n - 1; none of one run). Such runs must agree in all settings;
    seeds, and the queries that they draw, may differ. The last column then first averages each query over the runs,
    where all runs of both rows have the same. Its interval is over the draw of the queries for the models as trained,
    while ± is over training them again.

    Examples:

      hashkernels compare ours.json theirs.json

      hashkernels compare ours.json theirs.json -o compare.html

      hashkernels compare ours-seed*.json theirs-seed*.json --by-title -o table.tex -o table.csv
    """
    outputs = output or []
    for path in outputs:
        check_format(path, "output", (".html", *TABLES))
    if any(path.suffix == ".html" for path in outputs):
        require_pages()
    if by_title:
        _check_once(runs)
    found = (average_by_title if by_title else distinct)(load_runs(runs))
    if by_title and len(found) > 1 and all(len(run.runs) == 1 for run in found):
        warnings.warn(
            "no two runs have a title and code length in common: --title of evaluate and train gives them one",
            HashkernelsWarning,
            stacklevel=1,
        )
    check_output_files(outputs, force=force)
    texts = [
        render_runs(found, title=printable(title), command=command_line())
        if path.suffix == ".html"
        else TABLES[path.suffix](found)
        for path in outputs
    ]
    for path, text in zip(outputs, texts, strict=True):
        save_text(path, encodable(text))
    written = [str(path) for path in outputs]
    numbers = {
        "runs": [
            {
                "title": run.title,
                **({"num_runs": len(run.runs)} if by_title else {}),
                **{name: run.numbers[name] for name in _TOLD},
                **({"deviations": run.deviations} if by_title else {}),
                "to_the_first": None if gain is None else gain._asdict(),
            }
            for run, gain in zip(found, gains(found), strict=True)
        ],
        "differences": differences(found),
        "outputs": written,
    }
    emit(as_json, numbers, "\n\n".join([compare_text(found), *(f"Written: {path}" for path in written)]))


def _check_once(paths: list[Path]) -> None:
    """A run that counts twice makes the deviation of its title too small."""
    seen: set[Path] = set()
    for path in paths:
        if path.resolve() in seen:
            raise ValueError(f"runs must be different files to be averaged by title, got {path} twice")
        seen.add(path.resolve())


COMMANDS = (compare,)
