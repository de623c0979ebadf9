"""Recognition against a vote counted by hand and scikit-learn's own classifier."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from hashkernels import HashkernelsWarning, pack_codes
from hashkernels.metrics import knn_recognition, logistic_recognition


def vote_by_hand(distances, labels, k):
    """(votes, -sum of distances, -label), greatest first, over the first k by (distance, index)."""
    nearest = sorted(range(len(distances)), key=lambda i: (distances[i], i))[:k]
    candidates = []
    for label in {labels[i] for i in nearest}:
        voters = [i for i in nearest if labels[i] == label]
        candidates.append((len(voters), -sum(distances[i] for i in voters), -label))
    own = {label: sum(labels[i] == label for i in nearest) for label in labels}
    return -max(candidates)[2], own


@pytest.mark.parametrize("k", [1, 2, 3, 10, 40])
@pytest.mark.parametrize("bits", [3, 8, 20])
def test_vote_equals_counting(problem, bits, k):
    p = problem(bits, 25, 40, num_classes=5, seed=k)
    labels = p.query_labels * 7 - 10, p.database_labels * 7 - 10
    found = knn_recognition(p.query_codes, p.database_codes, *labels, k, bits=bits)
    expected, majority = [], []
    for distances, own in zip(p.distances.tolist(), labels[0].tolist(), strict=True):
        winner, votes = vote_by_hand(distances, labels[1].tolist(), k)
        expected.append(winner)
        majority.append(votes.get(own, 0) > k / 2)
    assert found.predictions.tolist() == expected
    assert found.accuracy == np.mean(np.array(expected) == labels[0])
    assert found.majority_accuracy == np.mean(majority)
    assert found.majority_accuracy <= found.accuracy
    again = knn_recognition(*(torch.from_numpy(a) for a in (p.query_codes, p.database_codes, *labels)), k)
    assert again.predictions.tolist() == expected


def test_ties_of_a_vote_go_to_the_nearer_then_to_the_smaller_class():
    database = np.array([[0b111], [0b1], [0b11], [0b11]], np.uint8)
    query = np.array([[0]], np.uint8)
    # Distances 3, 1, 2, 2. Two votes each: sums 4 and 4, so the smaller class; then 3 and 5, so the nearer one.
    assert knn_recognition(query, database, np.array([9]), np.array([9, 9, 2, 2]), 4).predictions.tolist() == [2]
    assert knn_recognition(query, database, np.array([9]), np.array([2, 9, 9, 2]), 4).predictions.tolist() == [9]


@pytest.mark.parametrize(("low", "high", "told"), [(0, 1, "first$"), (1, 255, "first, viewed as int8$")])
def test_codes_of_a_byte_a_bit_are_warned_of_or_refused(low, high, told):
    codes = np.where(np.random.default_rng(5).random((20, 16)) < 0.5, low, high).astype(np.uint8)
    labels = np.arange(20) % 4
    with pytest.warns(HashkernelsWarning, match=f"of 128 bits: if they are of 16 bits, give them to pack_codes {told}"):
        unpacked = knn_recognition(codes, codes, labels, labels, 5)
    refused = "query_codes must have 2 bytes a code for 16 bits, got 16, one a bit: pack_codes makes"
    with pytest.raises(ValueError, match=refused):
        knn_recognition(codes, codes, labels, labels, 5, bits=16)
    packed = pack_codes(codes if low == 0 else codes.view(np.int8))
    found = knn_recognition(packed, packed, labels, labels, 5, bits=16)
    assert (found.accuracy, found.predictions.tolist()) == (unpacked.accuracy, unpacked.predictions.tolist())


def test_a_class_that_the_database_lacks_is_never_recognised():
    codes = np.zeros((2, 1), np.uint8)
    found = knn_recognition(codes, codes, np.array([5, 6]), np.array([1, 1]), 1)
    assert (found.accuracy, found.majority_accuracy) == (0.0, 0.0)


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("num_classes", [2, 4])
def test_logistic_regression_reaches_the_minimum_of_its_objective(problem, num_classes, intercept):
    p = problem(12, 30, 200, num_classes=num_classes, seed=1)
    found = logistic_recognition(
        p.query_codes, p.database_codes, p.query_labels, p.database_labels, bits=12, l2=0.01, intercept=intercept
    )
    assert found.converged
    # The same objective, minimised by torch from zero in float64.
    x = torch.from_numpy(p.database_bits * 2.0 - 1)
    y = torch.from_numpy(p.database_labels)
    weight = torch.zeros(num_classes, 12, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(num_classes, dtype=torch.float64, requires_grad=intercept)
    parameters = [weight, bias] if intercept else [weight]
    optimizer = torch.optim.LBFGS(parameters, max_iter=500, tolerance_grad=1e-10, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        value = torch.nn.functional.cross_entropy(x @ weight.T + bias, y)
        # Two classes share one vector of weights w, of which the softmax form uses (-w, w) / 2: twice the penalty.
        value = value + 0.01 / 2 * (2 if num_classes == 2 else 1) * weight.square().sum()
        value.backward()
        return value

    optimizer.step(closure)
    scores = torch.from_numpy(p.query_bits * 2.0 - 1) @ weight.detach().T + bias.detach()
    assert found.predictions.tolist() == scores.argmax(1).tolist()
    assert found.accuracy == (scores.argmax(1).numpy() == p.query_labels).mean()


def test_logistic_regression_says_when_it_stopped_early(problem):
    p = problem(12, 5, 100, seed=2)
    found = logistic_recognition(*p.arguments(), bits=12, max_iterations=1)
    assert not found.converged
    assert found.iterations == 1


def test_missing_scikit_learn_is_named(problem, monkeypatch):
    p = problem(8, 5, 20)
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match=r"sklearn is missing: pip install 'hashkernels\[train\]'"):
        logistic_recognition(*p.arguments(), bits=8)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"k": 0}, ValueError, r"k must be in 1\.\.20, got 0"),
        ({"k": 21}, ValueError, r"k must be in 1\.\.20, got 21"),
        (
            {"query_labels": np.zeros((5, 3), int)},
            ValueError,
            r"query_labels must be class ids \[N\], got shape \(5, 3\)",
        ),
        ({"database_labels": np.zeros(19, int)}, ValueError, "database_labels must have one row for each of 20 items"),
        ({"database_codes": np.zeros((20, 2), np.uint8)}, ValueError, "database_codes must have 1 byte"),
        ({"query_codes": np.zeros((5, 1))}, TypeError, "query_codes must be uint8"),
    ],
)
def test_bad_arguments_of_the_vote_are_named(problem, change, error, message):
    p = problem(8, 5, 20)
    names = ("query_codes", "database_codes", "query_labels", "database_labels")
    arguments = {**dict(zip(names, p.arguments(), strict=True)), "k": 3, **change}
    with pytest.raises(error, match=message):
        knn_recognition(**arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"l2": 0.0}, "l2 must be above 0, got 0"),
        ({"max_iterations": 0}, "max_iterations must be at least 1, got 0"),
        ({"tolerance": -1.0}, "tolerance must be at least 0, got -1"),
        ({"train_labels": np.zeros(20, int)}, "train_labels must hold at least two classes, got one"),
    ],
)
def test_bad_settings_of_logistic_regression_are_named(problem, change, message):
    p = problem(8, 5, 20)
    names = ("query_codes", "train_codes", "query_labels", "train_labels")
    with pytest.raises(ValueError, match=message):
        logistic_recognition(**{**dict(zip(names, p.arguments(), strict=True)), "bits": 8, **change})
