"""Per-class averages, bootstrap, and the other metrics of a report."""

from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.stats

import hashkernels as hk
from hashkernels.metrics import bootstrap_mean, code_statistics, evaluate_counts, f_score, hit_rate, r_precision


@pytest.mark.parametrize("multi_hot", [False, True])
def test_average_of_each_class(problem, multi_hot):
    case = problem(16, 60, 200, multi_hot=multi_hot, num_classes=70)
    report = hk.evaluate(*case.arguments(), k=20)
    found = report.per_class()
    member = case.query_labels.astype(bool) if multi_hot else np.eye(70, dtype=bool)[case.query_labels]
    classes = np.flatnonzero(member.any(axis=0))
    np.testing.assert_array_equal(found.classes, classes)
    np.testing.assert_array_equal(found.num_queries, member.sum(axis=0)[classes])
    means = [report.per_query.average_precision[member[:, name]].mean() for name in classes]
    np.testing.assert_allclose(found.average_precision, means, atol=1e-15)
    assert found.macro == pytest.approx(np.mean(means), abs=1e-15)


def test_classes_without_a_counted_query_are_left_out():
    codes = np.zeros((3, 1), np.uint8)
    report = hk.evaluate(codes[:2], codes, np.array([-5, 9]), np.array([-5, -5, 0]), zero_hit="skip")
    assert report.per_class().classes.tolist() == [-5]
    assert report.per_class().macro == report.map
    with pytest.raises(ValueError, match="per_class needs an evaluation with labels"):
        evaluate_counts(report.counts).per_class()


def test_bootstrap_agrees_with_scipy(problem):
    case = problem(16, 80, 200, num_classes=12)
    report = hk.evaluate(*case.arguments())
    ours = report.bootstrap(num_resamples=4000, confidence=0.9, seed=1)
    theirs = scipy.stats.bootstrap(
        (report.per_query.average_precision,),
        np.mean,
        n_resamples=4000,
        confidence_level=0.9,
        method="percentile",
        rng=np.random.default_rng(2),
    )
    assert ours.mean == report.map
    error = theirs.standard_error
    assert ours.lo == pytest.approx(theirs.confidence_interval.low, abs=0.15 * error)
    assert ours.hi == pytest.approx(theirs.confidence_interval.high, abs=0.15 * error)
    assert ours.standard_error == pytest.approx(error, rel=0.06)
    assert report.bootstrap(seed=7) == report.bootstrap(seed=np.random.default_rng(7))
    assert report.bootstrap(seed=7) != report.bootstrap(seed=8)


def test_bootstrap_of_differences_and_of_constants():
    assert bootstrap_mean(np.full(9, 0.25))[:4] == (0.25, 0.25, 0.25, 0.0)
    interval = bootstrap_mean(np.array([-1.0, 1.0, -0.5, 0.5]))
    assert interval.lo < 0.0 == interval.mean < interval.hi


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"values": []}, "values must be at least one number a query"),
        ({"values": [2.0]}, r"values must be in -1\.\.1, got 2\.0"),
        ({"values": [float("nan")]}, r"values must be in -1\.\.1, got nan"),
        ({"values": [0.5], "num_resamples": 5}, "num_resamples must be at least 10, got 5"),
        ({"values": [0.5], "seed": -1}, "seed must be at least 0, got -1"),
        ({"values": [0.5], "confidence": 1.0}, "confidence must be between 0 and 1, got 1"),
    ],
)
def test_bad_bootstrap_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_mean(**arguments)


def test_other_metrics_are_reachable_from_the_report(problem):
    case = problem(16, 20, 90)
    report = hk.evaluate(*case.arguments(), ties="pessimistic")
    assert report.f_score(10).mean == f_score(report.counts, 10, ties="pessimistic").mean
    assert report.hit_rate(3).mean == hit_rate(report.counts, 3, ties="pessimistic").mean
    assert report.r_precision().mean == r_precision(report.counts, ties="pessimistic").mean
    assert report.f_score_within().shape == (17,)
    assert (report.mis_ranks().average_precision_bound <= report.per_query.least + 1e-12).all()
    in_order = hk.evaluate(*case.arguments(), ties="index")
    with pytest.raises(ValueError, match='f_score must be asked for under ties other than "index"'):
        in_order.f_score(3)


def test_statistics_of_the_codes_are_in_the_report_where_asked_for(problem):
    case = problem(16, 20, 90)
    assert hk.evaluate(*case.arguments()).database_statistics is None
    report = hk.evaluate(*case.arguments(), statistics=True)
    expected = code_statistics(case.database_codes, 16)
    np.testing.assert_array_equal(report.database_statistics.bit_entropy, expected.bit_entropy)
    assert report.query_statistics.num_codes == 20
    share = expected.distinct_codes, 90, expected.constant_bits
    assert "database: {} distinct of {} codes, {} constant bits, bit entropy ".format(*share) in str(report)
    restored = json.loads(json.dumps(report.to_dict()))
    assert restored["database_statistics"]["distinct_codes"] == expected.distinct_codes
