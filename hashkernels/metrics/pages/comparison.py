"""Several runs as a table: for a terminal, as Markdown, as LaTeX, and as CSV with every digit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hashkernels._page.tables import csv_text, latex_table, markdown_letters, markdown_table, text_table
from hashkernels.metrics.pages.runs import Run, differences, gains

_CARE = "The runs differ in settings, so compare with care:"


def compare_text(runs: Sequence[Run]) -> str:
    """Several runs as a table for a terminal, and the settings in which they differ.

    Raises:
        ValueError: no run.
    """
    table = text_table(*_table(runs))
    told = differences(runs)
    return "\n".join([table, *(["", _CARE, *(f"  {line}" for line in told)] if told else [])])


def compare_markdown(runs: Sequence[Run]) -> str:
    """The same as a file of Markdown; ValueError as there."""
    header, rows = _table(runs)
    table = markdown_table(header, [[markdown_letters(row[0]), *row[1:]] for row in rows])
    told = differences(runs)
    lines = ["", _CARE, "", *(f"- {markdown_letters(line)}" for line in told)] if told else []
    return "\n".join([table, *lines, ""])


def compare_latex(runs: Sequence[Run]) -> str:
    """The same as LaTeX, the settings in comments; ValueError as there."""
    table = latex_table(*_table(runs))
    told = differences(runs)
    comments = ["\\usepackage{booktabs}", *([_CARE, *told] if told else [])]
    return "\n".join([*(f"% {' '.join(line.split())}" for line in comments), table, ""])


def compare_csv(runs: Sequence[Run]) -> str:
    """The same numbers unrounded, each deviation and end of an interval in a column of its own, with all settings;
    ValueError as there."""
    _check_any(runs)
    records = []
    for run, gain in zip(runs, gains(runs), strict=True):
        settings = run.numbers["settings"]
        names = ("bits", "num_queries", "num_database", "ties", "denominator", "zero_hit")
        record: dict[str, Any] = {"title": run.title, **({"runs": len(run.runs)} if run.runs else {})}
        record |= {name.removeprefix("num_"): settings[name] for name in names} | {"k": run.last_k}
        for name in ("map", "map_expected", "map_index", "precision_at", "recall_at"):
            record[name], deviation = run.spread(name, run.last_k if name.endswith("_at") else None)
            record |= {f"{name}_deviation": deviation} if run.runs else {}
        record |= dict(zip(("map_least", "map_greatest"), run.numbers["map_bounds"], strict=True))
        for name, part in (("to_the_first", "mean"), ("to_the_first_lo", "lo"), ("to_the_first_hi", "hi")):
            record[name] = getattr(gain, part, None)
        records.append(record)
    return csv_text(list(records[0]), [list(record.values()) for record in records])


TABLES = {".md": compare_markdown, ".tex": compare_latex, ".csv": compare_csv}


def _table(runs: Sequence[Run]) -> tuple[list[str], list[list[str]]]:
    _check_any(runs)
    first = ["title", "runs"] if runs[0].runs else ["run"]
    header = ["bits", "k", "mAP", "index order", "least .. greatest by ties", "P@k", "R@k", "to the first, 95 %"]
    rows = [
        [
            run.title,
            *([str(len(run.runs))] if run.runs else []),
            str(run.bits),
            run.last_k,
            _shown(*run.spread("map")),
            _shown(*run.spread("map_index")),
            "{:.4f} .. {:.4f}".format(*run.numbers["map_bounds"]),
            _shown(*run.spread("precision_at", run.last_k)),
            _shown(*run.spread("recall_at", run.last_k)),
            "-" if gain is None else f"{gain.mean:+.4f} ({gain.lo:+.4f} .. {gain.hi:+.4f})",
        ]
        for run, gain in zip(runs, gains(runs), strict=True)
    ]
    return [*first, *header], rows


def _shown(number: float | None, deviation: float | None) -> str:
    return ("-" if number is None else f"{number:.4f}") + ("" if deviation is None else f" ± {deviation:.4f}")


def _check_any(runs: Sequence[Run]) -> None:
    if not runs:
        raise ValueError("runs must hold at least one run, got none")
