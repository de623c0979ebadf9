"""Every case under pytest-benchmark, one test a contender.

``pytest benchmarks`` times the full sizes on one thread; with ``--benchmark-disable`` the quick sizes are checked and
nothing is timed.
"""

from __future__ import annotations

from functools import lru_cache

import pytest
from hashkernels.benchmarks import CASES, Case, Trial, thread_limit
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
