"""The numbers of an evaluation as they are kept in a file, and read back to be compared."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hashkernels._files import printable
from hashkernels.metrics.bootstrap import ConfidenceInterval, bootstrap_mean
from hashkernels.metrics.report import FORMAT

_ROWS = ("expected", "least", "greatest")
_RADII = ("precision_within", "recall_within", "map_within")
_STATISTICS = (
    "distinct_codes",
    "num_codes",
    "collisions",
    "code_entropy",
    "constant_bits",
    "mean_correlation",
    "greatest_correlation",
)
_SETTINGS = ("bits", "num_queries", "num_database", "k", "ties", "denominator", "zero_hit")


class Run(NamedTuple):
    """An evaluation under a title, or the mean of several.

    numbers: ``RetrievalReport.to_dict``, as it is or read from JSON.
    file: that they were read from.
    runs: those that this is the mean of.
    deviations: sample standard deviations over them, under the names of the numbers; None of a single run.
    """

    title: str
    numbers: Mapping[str, Any]
    file: str = ""
    runs: tuple[Run, ...] = ()
    deviations: Mapping[str, Any] | None = None

    @property
    def bits(self) -> int:
        """Code length."""
        return int(self.numbers["settings"]["bits"])

    @property
    def last_k(self) -> str:
        """The largest cutoff, as a key."""
        return str(self.numbers["settings"]["k"][-1])

    @property
    def parts(self) -> tuple[Run, ...]:
        """The evaluations themselves."""
        return self.runs or (self,)

    def spread(self, name: str, place: str | int | None = None) -> tuple[float | None, float | None]:
        """A number, perhaps at a cutoff or radius, and its deviation over the runs, where there is one."""
        found = self.numbers[name], (self.deviations or {}).get(name)
        number, deviation = (part if part is None or place is None else part[place] for part in found)
        return number, deviation


def load_runs(paths: Sequence[str | os.PathLike[str]]) -> list[Run]:
    """The runs in JSON files of ``hashkernels evaluate --json``, ``RetrievalReport.save`` or ``hashkernels demo``.

    A run is called what it says it is, else after its file; the results of a demo are a run a method. Titles may be
    the same: see `distinct` and `average_by_title`.

    Raises:
        ValueError: a file that holds something else. OSError: one that cannot be read.
    """
    runs: list[Run] = []
    for path in map(Path, paths):
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            raise ValueError(f"{path} must be JSON: {error}") from None
        entries = [(printable(path.stem), found)]
        if isinstance(found, dict) and isinstance(found.get("methods"), dict):
            entries = [
                (str(entry.get("title", name)), entry.get("evaluation"))
                for name, entry in found["methods"].items()
                if isinstance(entry, dict)
            ]
        runs += [Run(_title(numbers, title), _checked(path, numbers), str(path)) for title, numbers in entries]
    return runs


def distinct(runs: Iterable[Run]) -> list[Run]:
    """The runs under titles that name one each."""
    seen: dict[str, int] = {}
    named = []
    for run in runs:
        seen[run.title] = seen.get(run.title, 0) + 1
        times = seen[run.title]
        named.append(run if times == 1 else run._replace(title=f"{run.title} ({times})"))
    return named


def differences(runs: Sequence[Run]) -> list[str]:
    """Settings in which runs differ, each with its values in the order of the runs."""
    found = setting_differences(runs)
    pairs = [sorted({sum(part.numbers["distance_histogram"]["relevant"]) for part in run.parts}) for run in runs]
    if any(len(counts) > 1 for counts in pairs) or (not found and any(counts != pairs[0] for counts in pairs)):
        told = (" .. ".join(map(str, dict.fromkeys((counts[0], counts[-1])))) for counts in pairs)
        found.append(f"relevant pairs: {', '.join(told)} (other labels, or other items)")
    return found


def setting_differences(runs: Sequence[Run]) -> list[str]:
    """``differences`` of settings alone, whatever the items and their labels."""
    found = []
    for name in _SETTINGS:
        # what is compared is the value at the largest cutoff
        values = [run.last_k if name == "k" else str(run.numbers["settings"][name]) for run in runs]
        if any(value != values[0] for value in values):
            found.append(f"{name.removeprefix('num_')}: {', '.join(values)}")
    return found


def paired_difference(first: Run, other: Run) -> ConfidenceInterval | None:
    """How far the mean average precision of ``other`` is above that of ``first``, over the draw of the queries; None
    where they have no `shared_queries`."""
    values = shared_queries([run.numbers for run in (first, other)])
    if values is None:
        return None
    both = np.logical_and(*(np.asarray(part["counted"], dtype=bool) for part in values))
    before, after = (np.asarray(part["average_precision"], dtype=np.float64) for part in values)
    return bootstrap_mean((after - before)[both]) if both.any() else None


def shared_queries(parts: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]] | None:
    """The values of each query in several evaluations; None where one lacks them, or the queries cannot be the same:
    they have other numbers of relevant items."""
    found = [part["per_query"] for part in parts if part.get("per_query") is not None]
    alike = len(found) == len(parts) and all(part["relevant"] == found[0]["relevant"] for part in found)
    return found if alike else None


def gains(runs: Sequence[Run]) -> list[ConfidenceInterval | None]:
    """``paired_difference`` of each run to the first; None of the first itself."""
    return [None, *(paired_difference(runs[0], run) for run in runs[1:])]


def _title(numbers: Any, name: str) -> str:
    found = numbers.get("title") if isinstance(numbers, dict) else None
    return " ".join(str(found or "").split()) or name  # in one line, as the row of a table


def _checked(path: Path, numbers: Any) -> dict[str, Any]:
    """All that a page shows is there and of its shape."""
    told = f"{path} must hold what hashkernels evaluate --json prints"
    if not isinstance(numbers, dict) or numbers.get("format") != FORMAT:
        raise ValueError(f'{told}, with "format": "{FORMAT}"')
    try:
        _check_shapes(numbers)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        reason = f"no {error.args[0]}" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{told}: {reason}") from None
    return numbers


def _check_shapes(numbers: dict[str, Any]) -> None:
    settings = {name: numbers["settings"][name] for name in _SETTINGS}
    cutoffs = [str(k) for k in settings["k"]]
    _numbers("map", [numbers["map"], numbers["map_expected"], *numbers["map_bounds"]], 4)
    if numbers["map_index"] is not None:
        _numbers("map_index", [numbers["map_index"]], 1)
    for name in ("map_at", "precision_at", "recall_at"):
        _numbers(name, [numbers[name][k] for k in cutoffs], max(len(cutoffs), 1))
    for name in _RADII:
        _numbers(name, numbers[name], settings["bits"] + 1)
        _numbers(name, numbers["standard_errors"][name], settings["bits"] + 1)
    for part in ("relevant", "irrelevant"):
        _numbers("distance_histogram", numbers["distance_histogram"][part], settings["bits"] + 1)
    ranks = numbers["rank_curve"]["ranks"]
    for name in ("precision", "recall"):
        for row in _ROWS:
            _numbers("rank_curve", numbers["rank_curve"][name][row], len(ranks))
    if numbers.get("per_query") is not None:
        parts = numbers["per_query"]
        for name in ("average_precision", "least", "greatest", "relevant", "hits", "counted"):
            _numbers("per_query", parts[name], settings["num_queries"])
    if numbers.get("per_class") is not None:
        parts = numbers["per_class"]
        for name in ("classes", "num_queries", "average_precision"):
            _numbers("per_class", parts[name], len(parts["classes"]))
    if numbers.get("bootstrap") is not None:
        _numbers("bootstrap", [numbers["bootstrap"][name] for name in ("lo", "hi")], 2)
    for name in ("query_statistics", "database_statistics"):
        if (parts := numbers.get(name)) is not None:
            _numbers(name, [parts[value] for value in _STATISTICS], len(_STATISTICS))
            _numbers(name, parts["bit_entropy"], settings["bits"])
    for row in numbers.get("compat") or ():
        if not {"evaluator", "definition", "map"} <= set(row):
            raise ValueError("compat must hold an evaluator, a definition and a map in each row")
    for name in ("protocol", "quote"):
        if not isinstance(numbers[name], str):
            raise TypeError(f"{name} must be text, got {type(numbers[name]).__name__}")


def _numbers(name: str, values: Any, count: int) -> None:
    array = np.asarray(values)
    if array.shape != (count,) or array.dtype.kind not in "biuf" or not np.isfinite(array).all():
        raise ValueError(f"{name} must hold {count} numbers")
