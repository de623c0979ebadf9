"""Ranks in (distance, index) order, from counts that are looked at in blocks of queries."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

import hashkernels as hk
from hashkernels._ranks import Ranks
from hashkernels.metrics import _index_order, _task
from hashkernels.metrics._inputs import check_retrieval
from hashkernels.metrics.counts import count

RELEVANCE = {query: dict.fromkeys(range(query, 120, 5), 1.0) for query in range(17)}
FORMS = {"labels": {}, "excluded": {"exclude": np.arange(17)}, "relevance": {"relevance": RELEVANCE}}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [1, 12_000])
def test_blocks_of_any_size_give_the_same_bits(isa, problem, monkeypatch, form, size):
    case = problem(21, 17, 120)
    arguments = case.arguments()[: 2 if form == "relevance" else 4]

    def found() -> dict:
        report = hk.evaluate(*arguments, bits=21, k=(1, 50, 120 - (form == "excluded")), ties="index", **FORMS[form])
        return report.to_dict(per_query=True)

    expected = found()
    monkeypatch.setattr(_task, "_BLOCK_BYTES", size)
    assert found() == expected


def test_memory_is_bounded_however_many_queries_there_are(problem, monkeypatch):
    case = problem(504, 600, 40)
    task = _task.Task(check_retrieval(*case.arguments(), bits=None))
    counts = count(task, None)
    monkeypatch.setattr(_task, "_BLOCK_BYTES", 1 << 20)
    assert counts.total.nbytes > 2 << 20
    tracemalloc.start()
    try:
        _index_order.ranked_by_index(task, [1, 40], counts, counts, Ranks(), None)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
