"""``evaluate`` on codes and labels, against the usual evaluator, scikit-learn, enumeration and hand-worked cases."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

import hashkernels as hk
from hashkernels.metrics import _assemble, evaluate_counts, retrieval_counts

DENOMINATORS = ("hits", "min", "relevant")
RULES = ("expected", "index", "optimistic", "pessimistic")
FROZEN = [
    ("expected", ["0x1.b8782daec5800p-3", "0x1.1d24a3f79f671p-3"]),
    ("index", ["0x1.cae6a2237cb1bp-3", "0x1.1f759c65fa086p-3"]),
    ("optimistic", ["0x1.77a57dee519f7p-2", "0x1.74be574cb049ep-3"]),
    ("pessimistic", ["0x1.1da8e07b562c5p-3", "0x1.c9d1c937f720ap-4"]),
]
HASHES = Path(__file__).parents[1] / "data" / "pdq_reg_test_256.npz"


@pytest.mark.parametrize("multi_hot", [False, True])
@pytest.mark.parametrize("bits", [5, 16, 48, 65])
def test_index_ties_equal_the_usual_evaluator(isa, problem, usual, bits, multi_hot):
    case = problem(bits, 17, 203, multi_hot=multi_hot, num_classes=70 if bits == 16 else 4)
    for k in (1, 10, 202, 203):
        for denominator in DENOMINATORS:
            report = hk.evaluate(*case.arguments(), bits=bits, k=k, ties="index", denominator=denominator)
            expected = usual(case, k, denominator)
            np.testing.assert_allclose(report.per_query.average_precision, expected, atol=1e-12)
            assert report.map == pytest.approx(expected.mean(), abs=1e-12)
            hits = np.take_along_axis(case.relevance, case.distances.argsort(axis=1, kind="stable"), 1)[:, :k].sum(1)
            np.testing.assert_array_equal(report.per_query.hits, hits)
            assert report.precision_at[k] == pytest.approx((hits / k).mean(), abs=1e-15)
            recall = hits / np.maximum(case.relevance.sum(1), 1)
            assert report.recall_at[k] == pytest.approx(recall.mean(), abs=1e-15)


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_expected_value_is_the_mean_over_shuffled_orders(problem, enumeration, seed, multi_hot):
    case = problem(4, 2, 9, seed=seed, multi_hot=multi_hot, num_classes=2)
    for row, (distances, relevance) in enumerate(zip(case.distances, case.relevance, strict=True)):
        ties = [(int((distances == d).sum()), int(relevance[distances == d].sum())) for d in range(case.bits + 1)]
        orders = enumeration(ties)
        for k in (1, 4, 9):
            hits = orders.hits(k)
            for rule, name in (("expected", "mean"), ("optimistic", "greatest"), ("pessimistic", "least")):
                report = hk.evaluate(*case.arguments(), bits=4, k=k, ties=rule)
                exact = getattr(orders.average_precision(k, "hits"), name)
                assert report.per_query.average_precision[row] == pytest.approx(float(exact), abs=1e-12)
                assert report.per_query.hits[row] == pytest.approx(float(getattr(hits, name)), abs=1e-12)


def thermometer(num_items):
    """Codes at distance 1..num_items from the zero code: no two are tied."""
    return np.packbits(np.tri(num_items, num_items, dtype=np.uint8), axis=1)


@pytest.mark.parametrize("ties", RULES)
@pytest.mark.parametrize("seed", range(4))
def test_without_ties_equals_scikit_learn(ties, seed):
    relevant = np.random.default_rng(seed).integers(0, 2, 61)
    database = thermometer(61)
    report = hk.evaluate(np.zeros_like(database[:1]), database, np.array([1]), relevant, bits=61, ties=ties)
    assert report.map == pytest.approx(average_precision_score(relevant, -np.arange(61)), abs=1e-13)
    assert report.map_bounds == (report.map, report.map)


def test_rules_agree_to_the_last_bit_without_ties():
    relevant = np.random.default_rng(0).integers(0, 2, 61)
    database = thermometer(61)
    for k in (5, 61):
        values = {
            hk.evaluate(database[:1] * 0, database, np.array([1]), relevant, bits=61, ties=ties, k=k).map
            for ties in RULES
        }
        assert len(values) == 1


@pytest.mark.parametrize("ties", RULES)
@pytest.mark.parametrize("denominator", DENOMINATORS)
@pytest.mark.parametrize("zero_hit", ["zero", "skip"])
def test_bounds_hold_the_value_of_every_rule(problem, ties, denominator, zero_hit):
    case = problem(8, 40, 90, num_classes=30)
    for k in (1, 3, 20, 90):
        report = hk.evaluate(*case.arguments(), bits=8, k=k, ties=ties, denominator=denominator, zero_hit=zero_hit)
        assert report.map_bounds.lo <= report.map <= report.map_bounds.hi
        assert (report.per_query.least <= report.per_query.average_precision).all()
        assert (report.per_query.average_precision <= report.per_query.greatest).all()


def as_json(report):
    return json.dumps(report.to_dict(per_query=True))


def test_expected_is_free_of_the_order_of_the_database(isa, problem):
    case = problem(12, 30, 500)
    shuffle = np.random.default_rng(1).permutation(500)
    first = hk.evaluate(*case.arguments(), bits=12, k=(50, 500))
    second = hk.evaluate(
        case.query_codes,
        case.database_codes[shuffle],
        case.query_labels,
        case.database_labels[shuffle],
        bits=12,
        k=(50, 500),
    )
    assert as_json(first) == as_json(second)


@pytest.mark.parametrize(("ties", "frozen"), FROZEN)
def test_same_bits_on_every_machine(isa, threads, ties, frozen):
    """Values found once, to the last bit: a mathematical library or an order of adding would show."""
    words = (np.arange(1, 901, dtype=np.uint64) * np.uint64(2654435761)) >> np.uint64(8)
    codes = words.astype("<u4").view(np.uint8).reshape(-1, 4)[:, :3]
    labels = (words % np.uint64(7)).astype(np.int64)
    report = hk.evaluate(codes[:200], codes[200:], labels[:200], labels[200:], k=(30, 400), ties=ties, threads=threads)
    assert [report.map_at[30].hex(), report.map_at[400].hex()] == frozen


def test_same_bits_whatever_the_blocks(problem, monkeypatch):
    case = problem(16, 50, 300)
    whole = as_json(hk.evaluate(*case.arguments(), k=(20, 300)))
    monkeypatch.setattr(_assemble, "_BLOCK", 1)
    assert as_json(hk.evaluate(*case.arguments(), k=(20, 300))) == whole


@pytest.mark.parametrize("shards", [2, 3, 7])
def test_counts_of_shards_add_up_to_the_same_bits(problem, shards):
    case = problem(16, 20, 101, multi_hot=True)
    whole = hk.evaluate(*case.arguments(), k=(10, 101))
    parts = [
        retrieval_counts(case.query_codes, codes, case.query_labels, labels)
        for codes, labels in zip(
            np.array_split(case.database_codes, shards), np.array_split(case.database_labels, shards), strict=True
        )
    ]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    expected = json.loads(as_json(whole))
    del expected["per_class"]  # counts name no classes
    assert json.loads(as_json(evaluate_counts(total, k=(10, 101)))) == expected


def test_radius_metrics_equal_counting(problem):
    case = problem(10, 25, 140, num_classes=12)
    report = hk.evaluate(*case.arguments(), bits=10)
    for radius in range(11):
        ball = case.distances <= radius
        hits = (ball & case.relevance).sum(1)
        precision = np.where(ball.any(1), hits / np.maximum(ball.sum(1), 1), 0.0)
        recall = hits / np.maximum(case.relevance.sum(1), 1)
        assert report.precision_within[radius] == pytest.approx(precision.mean(), abs=1e-15)
        assert report.recall_within[radius] == pytest.approx(recall.mean(), abs=1e-15)
        assert report.pr_curve.precision[radius] == report.precision_within[radius]
        assert report.pr_curve.recall[radius] == report.recall_within[radius]
    relevant, irrelevant = report.distance_histogram
    np.testing.assert_array_equal(relevant, np.bincount(case.distances[case.relevance], minlength=11))
    np.testing.assert_array_equal(irrelevant, np.bincount(case.distances[~case.relevance], minlength=11))
    np.testing.assert_array_equal(report.per_query.relevant, case.relevance.sum(1))
    assert report.per_query.relevant.dtype == np.int64


def test_empty_ball_has_precision_zero():
    """One query has both its items within radius 0, the other has nothing there."""
    database = np.array([[0], [0], [255]], dtype=np.uint8)
    report = hk.evaluate(np.array([[0], [15]], np.uint8), database, np.array([1, 1]), np.array([1, 0, 1]))
    assert report.precision_within[0] == 0.25
    assert report.recall_within[0] == 0.25


def test_several_cutoffs_give_what_each_gives_alone(problem):
    case = problem(16, 12, 80)
    for ties in RULES:
        together = hk.evaluate(*case.arguments(), k=(80, 5, 20, 5), ties=ties)
        assert together.ks == (5, 20, 80)
        assert together.map == together.map_at[80]
        for k in (5, 20, 80):
            alone = hk.evaluate(*case.arguments(), k=k, ties=ties)
            assert together.map_at[k] == alone.map
            assert together.precision_at[k] == alone.precision_at[k]
            assert together.recall_at[k] == alone.recall_at[k]


def test_multi_hot_of_one_class_each_equals_class_ids(problem):
    case = problem(16, 10, 120)
    hot = np.eye(4, dtype=np.uint8)
    ids = hk.evaluate(*case.arguments())
    multi_hot = hk.evaluate(case.query_codes, case.database_codes, hot[case.query_labels], hot[case.database_labels])
    assert as_json(ids) == as_json(multi_hot)


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.uint8, np.int64, np.float32, np.float64])
def test_multi_hot_of_any_dtype(problem, dtype):
    case = problem(16, 10, 120, multi_hot=True, num_classes=67)
    labels = case.query_labels.astype(dtype), case.database_labels.astype(dtype)
    report = hk.evaluate(case.query_codes, case.database_codes, *labels)
    assert as_json(report) == as_json(hk.evaluate(*case.arguments()))


def test_tensors_and_arrays_give_the_same_and_stay_as_they_are(problem):
    case = problem(16, 10, 120, multi_hot=True)
    arrays = [array.copy() for array in case.arguments()]
    for array in arrays:
        array.flags.writeable = False
    tensors = [torch.from_numpy(array.copy()) for array in case.arguments()]
    assert as_json(hk.evaluate(*arrays)) == as_json(hk.evaluate(*tensors))
    for tensor, array in zip(tensors, case.arguments(), strict=True):
        np.testing.assert_array_equal(tensor.numpy(), array)


def test_strided_codes(problem):
    case = problem(16, 10, 121)
    wide = np.zeros((121, 7), dtype=np.uint8)
    wide[:, 2:4] = case.database_codes
    report = hk.evaluate(case.query_codes, wide[::-1, 2:4], case.query_labels, case.database_labels[::-1])
    assert as_json(report) == as_json(hk.evaluate(*case.arguments()))


@pytest.mark.parametrize("threads", [1, 2])
def test_real_hashes_against_every_order_of_ties(isa, threads, enumeration):
    """One byte of PDQ hashes, so that a dozen of them have many ties; labels are made up."""
    with np.load(HASHES) as file:
        database, queries = file["haystack"][:12, :1], file["needles"][:20, :1]
    labels, query_labels = np.arange(12) % 3, np.arange(20) % 3
    distances = np.bitwise_count(queries ^ database.T)
    for k in (1, 4, 12):
        report = hk.evaluate(queries, database, query_labels, labels, k=k, denominator="min", threads=threads)
        for query, found in enumerate(report.per_query.average_precision):
            groups = [labels[distances[query] == distance] for distance in np.unique(distances[query])]
            orders = enumeration([(len(group), int((group == query_labels[query]).sum())) for group in groups])
            assert abs(found - float(orders.average_precision(k, "min").mean)) < 1e-12


@pytest.mark.parametrize("threads", [1, 2])
def test_real_hashes_with_synthetic_labels(isa, threads):
    """PDQ hashes of images; the label of a hash is made up: the number of its nearest needle."""
    with np.load(HASHES) as file:
        haystack, needles = file["haystack"], file["needles"]
    distances = np.unpackbits(needles[:, None] ^ haystack, axis=2).sum(-1, dtype=np.int64)
    labels = distances.argmin(axis=0)
    reports = {
        ties: hk.evaluate(needles, haystack, np.arange(100), labels, bits=256, ties=ties, threads=threads)
        for ties in RULES
    }
    relevance = labels == np.arange(100)[:, None]
    expected, in_order = [], []
    for row, hits in zip(distances, relevance, strict=True):
        total = before = found = 0.0
        for distance in np.unique(row):
            n, p = (row == distance).sum(), hits[row == distance].sum()
            t = np.arange(1, n + 1)
            total += (p / n * (found + 1 + (t - 1) * ((p - 1) / max(n - 1, 1))) / (before + t)).sum() if p else 0.0
            before, found = before + n, found + p
        expected.append(total / max(found, 1))
        ranks = np.flatnonzero(hits[row.argsort(kind="stable")]) + 1
        in_order.append((np.arange(1, len(ranks) + 1) / ranks).sum() / max(len(ranks), 1))
    np.testing.assert_allclose(reports["expected"].per_query.average_precision, expected, atol=1e-12)
    np.testing.assert_allclose(reports["index"].per_query.average_precision, in_order, atol=1e-12)
    assert reports["pessimistic"].map < reports["expected"].map < reports["optimistic"].map
    assert reports["expected"].precision_within[0] == 0.5  # 50 of the 100 needles lie in the haystack
