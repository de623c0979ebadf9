"""Runs of one title, such as those of several seeds, as one run: means, and deviations over the runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import mean, stdev
from typing import Any

from hashkernels._validation import counted
from hashkernels.metrics._wording import quote_line
from hashkernels.metrics.bootstrap import bootstrap_mean
from hashkernels.metrics.pages.runs import Run, distinct, setting_differences, shared_queries

# The numbers that are averaged with their deviations.
COMPARED = (
    "map",
    "map_expected",
    "map_index",
    "map_bounds",
    "map_at",
    "precision_at",
    "recall_at",
    "precision_within",
)
_DRAWN = ("recall_within", "map_within", "standard_errors", "distance_histogram", "rank_curve")


def average_by_title(runs: Iterable[Run]) -> list[Run]:
    """One run for those of equal title and code length, in the order in which they come first.

    Its numbers are means over the runs, its deviations their sample standard deviations, its settings and cutoffs
    those that all share. Where all runs have the values of each query, and as many relevant items for each, it has the
    mean over the runs of each query's average precision.

    Raises:
        ValueError: runs of equal title and code length that differ in another setting.
    """
    groups: dict[tuple[str, int], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.title, run.bits), []).append(run)
    lengths = Counter(title for title, _ in groups)
    return distinct(
        _average(title if lengths[title] == 1 else f"{title}, {counted(bits, 'bit')}", members)
        for (title, bits), members in groups.items()
    )


def _average(title: str, runs: Sequence[Run]) -> Run:
    if len(runs) == 1:
        only = runs[0]._replace(title=title)
        return only._replace(runs=(only,))
    for run in runs[1:]:
        for line in setting_differences([runs[0], run]) or _rank_differences(runs[0], run):
            raise ValueError(
                f"runs of one title must be evaluated alike to be averaged: {runs[0].file} and {run.file}, both titled "
                f"{runs[0].title}, differ in {line}"
            )
    parts = [run.numbers for run in runs]
    deviations = _across([{name: part[name] for name in COMPARED} for part in parts], stdev)
    numbers = _across([{name: part[name] for name in COMPARED + _DRAWN} for part in parts], mean)
    settings = [part["settings"] for part in parts]
    numbers["settings"] = {
        name: value for name, value in settings[0].items() if all(other.get(name) == value for other in settings)
    } | {"k": [k for k in settings[0]["k"] if all(k in other["k"] for other in settings)]}
    queries = numbers["per_query"] = _queries(parts)
    if queries is not None and any(queries["counted"]):
        answered = zip(queries["average_precision"], queries["counted"], strict=True)
        numbers["bootstrap"] = bootstrap_mean([value for value, kept in answered if kept])._asdict()
    average = Run(
        title,
        numbers,
        runs=tuple(run._replace(title=f"{title} ({place})") for place, run in enumerate(runs, 1)),
        deviations=deviations,
    )
    numbers["quote"] = _quote(average)
    return average


def _rank_differences(first: Run, other: Run) -> list[str]:
    """Curves over other ranks, as where other items are left out, have no mean."""
    both = [run.numbers["rank_curve"]["ranks"] for run in (first, other)]
    told = ", ".join(f"{len(ranks)} up to {ranks[-1]}" for ranks in both)
    return [] if both[0] == both[1] else [f"ranks of their curves: {told}"]


def _across(values: Sequence[Any], statistic: Callable[[Sequence[float]], float]) -> Any:
    """A statistic over the runs of each number inside lists of one length, or dicts, of which the shared keys count.

    Those of the statistics module are of the exact numbers: equal runs have their own mean and no deviation.
    """
    first = values[0]
    if isinstance(first, Mapping):
        shared = [name for name in first if all(name in value for value in values)]
        return {name: _across([value[name] for value in values], statistic) for name in shared}
    if isinstance(first, list):
        return [_across(column, statistic) for column in zip(*values, strict=True)]
    return None if None in values else statistic(values)


def _queries(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Each query's mean over the runs, where the queries can be the same."""
    found = shared_queries(parts)
    if found is None:
        return None
    return {
        "average_precision": list(map(mean, zip(*(part["average_precision"] for part in found), strict=True))),
        "relevant": found[0]["relevant"],
        "counted": list(map(all, zip(*(part["counted"] for part in found), strict=True))),
    }


def _quote(run: Run) -> str:
    def shown(name: str) -> str:
        number, deviation = run.spread(name)
        return "" if number is None else f"{number:.4f} ± {deviation:.4f}"

    protocols = [part.numbers["protocol"].partition(", ") for part in run.runs]
    settings = " or ".join(dict.fromkeys(settings for _, _, settings in protocols))
    return quote_line(
        protocols[0][0],
        run.numbers["settings"]["ties"],
        *(shown(name) for name in ("map", "map_expected", "map_index")),
        *(f"{value:.4f}" for value in run.numbers["map_bounds"]),
        settings=f"mean ± sample standard deviation of {len(run.runs)} runs; {settings}",
    )
