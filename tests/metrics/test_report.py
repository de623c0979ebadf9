"""What a report holds and how it reads."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

import hashkernels as hk


@pytest.fixture
def report(problem):
    case = problem(16, 20, 90)
    return hk.evaluate(*case.arguments(), k=(10, 50), ties="optimistic", denominator="min")


def test_dict_survives_json_with_every_setting(report):
    restored = json.loads(json.dumps(report.to_dict()))
    assert restored["settings"] == {
        "bits": 16,
        "k": [10, 50],
        "ties": "optimistic",
        "denominator": "min",
        "zero_hit": "zero",
        "num_queries": 20,
        "num_database": 90,
        "num_counted": 20,
    }
    assert restored["map"] == report.map
    assert restored["map_bounds"] == list(report.map_bounds)
    assert restored["map_at"] == {"10": report.map_at[10], "50": report.map_at[50]}
    assert restored["precision_within"] == report.precision_within.tolist()
    assert sum(restored["distance_histogram"]["relevant"] + restored["distance_histogram"]["irrelevant"]) == 20 * 90
    assert restored["protocol"] == report.protocol
    assert "per_query" not in restored


def test_dict_with_the_values_of_each_query(report):
    values = json.loads(json.dumps(report.to_dict(per_query=True)))["per_query"]
    assert set(values) == {"average_precision", "least", "greatest", "relevant", "hits", "counted"}
    assert all(len(part) == 20 for part in values.values())
    assert np.mean(values["average_precision"]) == pytest.approx(report.map, abs=1e-14)


def test_repr_is_the_quote_in_one_line(report):
    assert repr(report) == f"RetrievalReport({report.quote()})"
    assert "\n" not in repr(report)
    assert repr(hk.metrics.evaluate_scores(np.eye(3), np.eye(3))).startswith("RankingReport(mAP 1")


def test_protocol_names_the_cutoff_only_where_there_is_one(problem, report):
    case = problem(16, 20, 90)
    whole = hk.evaluate(*case.arguments())
    assert whole.protocol == (
        "mAP, 16 bits, 20 queries, 90 database items, ties=expected, denominator=hits, zero_hit=zero"
    )
    assert report.protocol == (
        "mAP@50, 16 bits, 20 queries, 90 database items, ties=optimistic, denominator=min, zero_hit=zero"
    )


def test_text_is_a_table(report):
    lines = str(report).splitlines()
    assert lines[0] == report.protocol
    assert f"{report.map:.6f}" in lines[1]
    assert [line.split()[0] for line in lines[4:6]] == ["10", "50"]
    assert lines[5].split()[1:] == [
        f"{value:.6f}" for value in (report.map_at[50], report.precision_at[50], report.recall_at[50])
    ]
    assert all(len(line) <= 120 for line in lines)
    assert "up to radius 16" in lines[-1]


def test_text_of_a_short_code_shows_every_radius(problem):
    text = str(hk.evaluate(*problem(5, 3, 20).arguments(), bits=5))
    assert [line.split()[0] for line in text.splitlines()[-6:]] == list("012345")


def test_report_is_frozen(report):
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.map = 1.0


def test_shapes_and_dtypes(report):
    for values in (report.precision_within, report.recall_within, *report.pr_curve):
        assert values.shape == (17,)
        assert values.dtype == np.float64
    for values in report.distance_histogram:
        assert values.shape == (17,)
        assert values.dtype == np.int64
    kinds = [part.dtype for part in report.per_query]
    assert kinds == [np.float64, np.float64, np.float64, np.int64, np.float64, np.bool_]
    assert isinstance(report.map, float)
