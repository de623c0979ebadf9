"""What a page lets its reader save: the numbers as JSON and as CSV, inside the links themselves."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from hashkernels._page.tables import csv_text
from hashkernels.metrics.pages.runs import Run


class Download(NamedTuple):
    """A file: its name, what it holds, and a data URI of it."""

    name: str
    holds: str
    uri: str


def downloads(run: Run) -> list[Download]:
    """All numbers of a run as JSON, and each table of them as CSV."""
    files = [_download(run, "json", "all numbers, for hashkernels compare", "application/json", _json(run))]
    for name, holds, header, rows in _tables(run):
        files.append(_download(run, f"{name}.csv", holds, "text/csv", csv_text(header, rows)))
    return files


def _tables(run: Run) -> Iterator[tuple[str, str, list[str], Iterable[Sequence[Any]]]]:
    numbers = run.numbers
    names = ("map_at", "precision_at", "recall_at")
    yield (
        "cutoffs",
        "values at each cutoff",
        ["k", "map", "precision", "recall"],
        ([k, *(numbers[name][str(k)] for name in names)] for k in numbers["settings"]["k"]),
    )
    curve = numbers["rank_curve"]
    columns = [(value, rule) for value in ("precision", "recall") for rule in ("expected", "least", "greatest")]
    yield (
        "ranks",
        "precision and recall at k, with tie intervals",
        ["k", *(f"{value}_{rule}" for value, rule in columns)],
        zip(curve["ranks"], *(curve[value][rule] for value, rule in columns), strict=True),
    )
    radii = ("precision_within", "recall_within", "map_within")
    histogram = numbers["distance_histogram"]
    yield (
        "radii",
        "values within each radius, and pairs at each distance",
        ["radius", *radii, *(f"{name}_standard_error" for name in radii), "relevant_pairs", "other_pairs"],
        zip(
            range(run.bits + 1),
            *(numbers[name] for name in radii),
            *(numbers["standard_errors"][name] for name in radii),
            histogram["relevant"],
            histogram["irrelevant"],
            strict=True,
        ),
    )
    for name, holds in (("per_class", "mean average precision of each class"), ("per_query", "values of each query")):
        parts = numbers.get(name)
        if parts is not None:
            shown = [part for part, values in parts.items() if isinstance(values, list)]
            number = [] if name == "per_class" else ["query"]
            rows = zip(*(parts[part] for part in shown), strict=True)
            yield name, holds, number + shown, rows if not number else ([i, *row] for i, row in enumerate(rows))
    if numbers.get("compat"):
        columns_of = ("evaluator", "definition", "map")
        table = ([row[name] for name in columns_of] for row in numbers["compat"])
        yield "evaluators", "what other evaluators would print", list(columns_of), table


def _json(run: Run) -> str:
    return json.dumps({"title": run.title, **run.numbers}, allow_nan=False)


def _download(run: Run, ending: str, holds: str, kind: str, text: str) -> Download:
    stem = re.sub(r"[^\w-]+", "-", run.title).strip("-") or "run"
    uri = f"data:{kind};charset=utf-8;base64,{base64.b64encode(text.encode()).decode()}"
    return Download(f"{stem}.{ending}" if ending == "json" else f"{stem}-{ending}", holds, uri)
