"""Every case under pytest-benchmark, one test a contender.

``pytest benchmarks`` times the full sizes on one thread; with ``--benchmark-disable`` the quick sizes are checked and
nothing is timed.
"""

from __future__ import annotations

from functools import lru_cache

import pytest
from hashkernels.benchmarks import CASES, Case, Trial, evaluation_scale, thread_limit
from pytest_benchmark.fixture import BenchmarkFixture

_RUNS = [pytest.param(case, name, id=f"{case.title}, {name}") for case in CASES for name in case.contenders]


@lru_cache(maxsize=1)
def _trial(title: str, quick: bool) -> Trial:
    return next(case for case in CASES if case.title == title).trial(quick=quick)


@pytest.mark.parametrize(("case", "contender"), _RUNS)
def test_case(case: Case, contender: str, benchmark: BenchmarkFixture) -> None:
    with thread_limit(1):
        trial = _trial(case.title, quick=benchmark.disabled)
        benchmark.group = case.title
        benchmark.extra_info["share_of_work"] = trial.share.get(contender, 1.0)
        benchmark.pedantic(trial.contenders[contender], rounds=5, warmup_rounds=1)


def test_streaming_from_files_takes_no_more_memory_for_ten_times_the_items() -> None:
    found = evaluation_scale.memory(400_000)
    parts = [value for value in found.values() if isinstance(value, dict)]
    assert [part["distance_matrix_would_take_MB"] for part in parts] == [160.0, 1600.0]
    assert all(part["grown_by_MB"] < 20 for part in parts)
    text = evaluation_scale.as_text(found)
    assert "queries 1000, bits 48" in text
    assert f"{parts[1]['map']:.6g}" in text
