"""Index order from the nearest items: the bits of the pass over all of them, and chosen where k is small."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

import hashkernels as hk
from hashkernels.metrics import _nearest

# the package shows the function of this name
evaluation = importlib.import_module("hashkernels.metrics.evaluate")

RELEVANCE = {query: {item: 1.0 + item % 3 for item in range(query, 2000, 9)} for query in range(40)}
MANY = np.tile(np.arange(0, 60, 3), (40, 1))
FORMS = {
    "class ids": {},
    "multi-hot": {"multi_hot": True},
    "excluded": {"exclude": MANY},
    "relevance": {"relevance": RELEVANCE},
    "relevance, excluded": {"relevance": RELEVANCE, "exclude": MANY},
}


def evaluated(problem, form, bits, **options):
    options |= FORMS[form]
    codes = problem(bits, 40, 2000, multi_hot=options.pop("multi_hot", False))
    arguments = codes.arguments()[: 2 if "relevance" in options else 4]
    return hk.evaluate(*arguments, bits=bits, ties="index", **options)


@pytest.fixture
def ways(monkeypatch):
    """Which way each evaluation took."""
    taken = []

    for name in ("nearest_index_order", "ranked_by_index"):
        way = getattr(evaluation, name)
        monkeypatch.setattr(
            evaluation, name, lambda *arguments, way=way, name=name: (taken.append(name), way(*arguments))[1]
        )
    return taken


@pytest.mark.parametrize("k", [1, (3, 17), (1, 700, 1500)])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("bits", [7, 48])
def test_both_ways_find_the_same_bits(problem, ways, monkeypatch, form, bits, k):
    reports = []
    for items in (0, 1 << 40):
        monkeypatch.setattr(_nearest, "_ITEMS_PER_NEAREST", items)
        reports.append(evaluated(problem, form, bits, k=k).to_dict(per_query=True))
    assert ways == ["nearest_index_order", "ranked_by_index"]
    assert reports[0] == reports[1]


def test_queries_come_in_blocks(problem, monkeypatch):
    expected = evaluated(problem, "relevance, excluded", 16, k=9).to_dict(per_query=True)
    monkeypatch.setattr(_nearest, "_QUERIES", 7)
    assert evaluated(problem, "relevance, excluded", 16, k=9).to_dict(per_query=True) == expected


@pytest.mark.parametrize(
    ("form", "k", "way"),
    [
        ("class ids", 50, "nearest_index_order"),
        ("class ids", 51, "ranked_by_index"),
        ("excluded", 30, "nearest_index_order"),  # 20 of the nearest may be left out
        ("excluded", 31, "ranked_by_index"),
        ("class ids", None, "ranked_by_index"),
    ],
)
def test_a_search_is_for_cutoffs_up_to_a_share_of_the_database(problem, ways, monkeypatch, form, k, way):
    monkeypatch.setattr(_nearest, "_ITEMS_PER_NEAREST", 40)
    evaluated(problem, form, 24, k=k)
    assert ways == [way]
