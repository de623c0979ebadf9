"""Rankings by real scores, against the evaluation of codes, enumeration of the orders of ties, and scikit-learn."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, ndcg_score

import hashkernels as hk
from hashkernels.metrics import evaluate_scores, scores

RULES = ("expected", "index", "optimistic", "pessimistic")


def common(report):
    """What the reports of codes and of scores have in common."""
    names = ("map", "map_bounds", "map_expected", "map_index", "map_at", "precision_at", "recall_at", "per_query")
    return json.dumps([report.to_dict(per_query=True)[name] for name in names])


@pytest.mark.parametrize("ties", RULES)
@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.int8, np.float32, np.float64])
def test_negative_distances_give_what_codes_give(problem, ties, dtype, monkeypatch):
    monkeypatch.setattr(scores, "_BLOCK", 500)
    case = problem(12, 21, 70, multi_hot=True)
    options = {"k": (3, 30, 70), "ties": ties, "denominator": "min"}
    codes = hk.evaluate(*case.arguments(), bits=12, **options)
    near = (12 - case.distances).astype(dtype)
    labels = {"query_labels": case.query_labels, "database_labels": case.database_labels}
    assert common(evaluate_scores(near, **labels, **options)) == common(codes)
    assert common(evaluate_scores(torch.from_numpy(near), case.relevance, **options)) == common(codes)
    assert common(evaluate_scores(case.distances, case.relevance, largest=False, **options)) == common(codes)
    exclude = np.arange(21)
    without = hk.evaluate(*case.arguments(), bits=12, exclude=exclude, ties=ties)
    assert common(evaluate_scores(near, case.relevance, exclude=exclude, ties=ties)) == common(without)


@pytest.mark.parametrize("k", [1, 4, 9])
def test_ternary_codes_equal_enumeration(enumeration, k):
    """Real queries against ternary items, in halves: ties are exact."""
    rng = np.random.default_rng(4)
    near = rng.choice([-1.0, -0.5, 0.5, 1.0], (6, 3)) @ rng.integers(-1, 2, (3, 9))
    relevance = rng.random((6, 9)) < 0.5
    report = evaluate_scores(near.astype(np.float32), relevance, k=k)
    for row, (values, marks) in enumerate(zip(near, relevance, strict=True)):
        groups = [values == value for value in sorted(set(values), reverse=True)]
        exact = enumeration([(int(group.sum()), int(marks[group].sum())) for group in groups])
        for name, wanted in zip(("mean", "least", "greatest"), ("average_precision", "least", "greatest"), strict=True):
            value = float(getattr(exact.average_precision(k, "hits"), name))
            assert getattr(report.per_query, wanted)[row] == pytest.approx(value, abs=1e-12)


def test_distinct_scores_equal_scikit_learn():
    rng = np.random.default_rng(5)
    near, relevance = rng.normal(size=(7, 300)), rng.random((7, 300)) < 0.1
    report = evaluate_scores(near, relevance)
    theirs = [average_precision_score(*pair) for pair in zip(relevance, near, strict=True)]
    np.testing.assert_allclose(report.per_query.average_precision, theirs, atol=1e-13)
    assert report.map_bounds == (report.map, report.map)
    assert report.protocol.startswith("mAP, 7 queries, 300 database items, ties=expected")
    assert "bits" not in report.quote()


def test_ndcg_of_codes_equals_scikit_learn(problem):
    """scikit-learn, too, gives every item of a tie the mean gain of the tie."""
    case = problem(10, 8, 60)
    gains = np.random.default_rng(0).integers(0, 4, (8, 60)).astype(float)
    report = hk.evaluate(case.query_codes, case.database_codes, relevance=gains, bits=10)
    for k in (1, 5, 17, 60):
        assert report.ndcg(k).mean == pytest.approx(ndcg_score(gains, -case.distances, k=k), abs=1e-13)


def test_infinite_scores_and_signed_zeros_are_tied_with_their_like():
    near = np.array([[np.inf, np.inf, 0.0, -0.0, -np.inf]])
    report = evaluate_scores(near, np.array([[1, 0, 1, 0, 0]]), k=3, exclude=np.array([4]))
    assert report.per_query.hits[0] == 1.5
    assert report.num_ranked == 4
    assert evaluate_scores(near.astype(np.float16), np.ones((1, 5))).map == 1.0
    assert evaluate_scores(torch.ones(1, 5, dtype=torch.bfloat16), np.eye(1, 5)).map_bounds == (0.2, 1.0)


def test_int64_extremes_are_ordered():
    near = np.array([[np.iinfo(np.int64).min, np.iinfo(np.int64).max]])
    assert evaluate_scores(near, np.array([[0, 1]])).map == 1.0
    assert evaluate_scores(near, np.array([[0, 1]]), largest=False).map == 0.5


def test_classes_are_known_where_labels_are():
    labels = np.array([3, 3, 8])
    report = evaluate_scores(np.eye(3), query_labels=labels, database_labels=labels)
    assert report.per_class().classes.tolist() == [3, 8]
    with pytest.raises(ValueError, match="per_class needs an evaluation with labels"):
        evaluate_scores(np.eye(3), np.eye(3)).per_class()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"scores": np.array([[np.nan]])}, ValueError, "scores must not contain NaN"),
        ({"scores": np.ones(3)}, ValueError, "scores must have 2 dimensions"),
        ({"scores": np.ones((0, 3))}, ValueError, "scores must have at least one query and one item"),
        (
            {"scores": np.ones((1, 1), bool)},
            TypeError,
            "scores must be integers or floats of 16 bits or more, got bool",
        ),
        (
            {"scores": torch.ones(1, 1).to(torch.float8_e4m3fn)},
            TypeError,
            "scores must be integers or floats of 16 bits or more, got float8_e4m3fn",
        ),
        ({"relevance": np.zeros((1, 1)), "zero_hit": "skip"}, ValueError, "labels or relevance must give some query"),
        ({"relevance": None}, TypeError, "evaluate_scores needs relevance, or query_labels and database_labels"),
        ({"query_labels": np.zeros(1, int)}, TypeError, "evaluate_scores needs relevance, or"),
        ({"relevance": np.ones((2, 2))}, ValueError, r"relevance must have shape \(1, 1\), got \(2, 2\)"),
        ({"exclude": np.array([0])}, ValueError, "exclude must leave at least one item to rank"),
        ({"k": 2}, ValueError, r"k must be in 1\.\.1, got 2"),
    ],
)
def test_bad_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        evaluate_scores(**{"scores": np.ones((1, 1)), "relevance": np.ones((1, 1)), **arguments})
