"""Named protocols, the line to quote, codes as signs, and what other evaluators would have printed."""

from __future__ import annotations

import warnings
from importlib.metadata import version

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from torchmetrics.functional.retrieval import retrieval_average_precision

import hashkernels as hk
from hashkernels.metrics import PROTOCOLS, evaluate_counts


def test_cutoffs_are_those_of_the_literature():
    assert {name: protocol.k for name, protocol in PROTOCOLS.items()} == {
        "cifar10-1": None,
        "cifar10-2": None,
        "cifar10": None,
        "nuswide-21": 5000,
        "imagenet-100": 1000,
        "coco": 5000,
    }
    assert {name: (protocol.num_queries, protocol.num_database) for name, protocol in PROTOCOLS.items()} == {
        "cifar10-1": (1000, 59_000),
        "cifar10-2": (10_000, 50_000),
        "cifar10": (1000, 54_000),
        "nuswide-21": (2100, 193_734),
        "imagenet-100": (5000, 128_503),
        "coco": (5000, None),
    }
    assert {(protocol.denominator, protocol.zero_hit) for protocol in PROTOCOLS.values()} == {("hits", "zero")}


def test_protocol_gives_the_value_of_the_usual_evaluator_beside_the_expected_one(problem, usual):
    case = problem(16, 6, 1100, num_classes=30)
    report = hk.evaluate(*case.arguments(), protocol="imagenet-100", k=(100, 1000))
    assert report.map_index == pytest.approx(usual(case, 1000, "hits").mean(), abs=1e-12)
    assert report.map == report.map_expected == hk.evaluate(*case.arguments(), k=1000).map
    assert report.ks == (100, 1000)
    assert report.protocol_name == "imagenet-100"
    assert report.map_bounds.lo <= report.map_index <= report.map_bounds.hi
    assert report.map_index == hk.evaluate(*case.arguments(), k=1000, ties="index").map


def test_quote_has_all_readings_and_settings_in_one_line(problem):
    case = problem(16, 20, 90)
    report = hk.evaluate(*case.arguments(), protocol="cifar10-1")
    assert report.quote() == (
        f"mAP {report.map:.4f} expected over ties, {report.map_index:.4f} in index order, "
        f"{report.map_bounds.lo:.4f}..{report.map_bounds.hi:.4f} over all orders; "
        "16 bits, 20 queries, 90 database items, ties=expected, denominator=hits, zero_hit=zero, protocol=cifar10-1 "
        f"(which has 1000 queries and 59000 database items); hashkernels {version('hashkernels')}"
    )
    plain = hk.evaluate(*case.arguments(), k=10, ties="optimistic").quote(digits=2)
    assert plain.startswith("mAP@10 ")
    assert " optimistic, " in plain
    assert "in index order" not in plain
    with pytest.raises(ValueError, match=r"digits must be in 1\.\.15, got 0"):
        report.quote(digits=0)


def test_sizes_of_the_split_are_not_remarked_where_they_agree():
    codes = np.zeros((5000, 1), np.uint8)
    report = hk.evaluate(
        codes, np.zeros((5000, 1), np.uint8), np.zeros(5000, int), np.zeros(5000, int), protocol="coco"
    )
    assert report.protocol.endswith("protocol=coco")
    assert report.protocol.startswith("mAP, 8 bits")


@pytest.mark.parametrize("dtype", [np.int8, np.float16, np.float32, np.float64])
def test_signs_are_packed(problem, dtype):
    case = problem(13, 10, 80)
    signs = [(2.0 * bits - 1.0).astype(dtype) for bits in (case.query_bits, case.database_bits)]
    report = hk.evaluate(*signs, case.query_labels, case.database_labels)
    packed = hk.evaluate(*case.arguments(), bits=13)
    assert report.bits == 13
    assert report.to_dict(per_query=True) == packed.to_dict(per_query=True)
    mixed = hk.evaluate(torch.from_numpy(signs[0]), case.database_codes, case.query_labels, case.database_labels)
    assert mixed.to_dict() == packed.to_dict()
    other = hk.evaluate(case.query_codes, signs[1], case.query_labels, case.database_labels)
    assert other.to_dict() == packed.to_dict()


def test_signs_of_every_dtype_are_packed_alike(problem):
    case = problem(24, 10, 60)
    expected = hk.evaluate(*case.arguments(), bits=24)
    signs = [hk.unpack_codes(codes, 24) for codes in case.arguments()[:2]]
    for dtype in (np.int8, np.int16, np.int32, np.int64, np.float16, np.float64, bool):
        given = [(part > 0) if dtype is bool else part.astype(dtype) for part in signs]
        assert hk.evaluate(*given, *case.arguments()[2:]).to_dict() == expected.to_dict()


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 255), (1, 255)])
def test_codes_of_a_byte_a_bit_are_warned_of(low, high):
    rng = np.random.default_rng(5)
    codes = np.where(rng.integers(0, 2, (40, 16)) > 0, high, low).astype(np.uint8)
    labels = rng.integers(0, 3, 40)
    with pytest.warns(hk.HashkernelsWarning, match=f"hold only {low} and {high}, taken as packed codes of 128 bits"):
        assert hk.evaluate(codes, codes, labels, labels).bits == 128
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hk.evaluate(codes, codes, labels, labels, bits=128)
        hk.evaluate(codes[:, :7], codes[:, :7], labels, labels)
        codes[3, 3] = 7
        hk.evaluate(codes, codes, labels, labels)
        hk.evaluate(np.zeros_like(codes), np.zeros_like(codes), labels, labels)


def test_queries_without_a_class_are_warned_of():
    codes, labels = np.arange(8, dtype=np.uint8)[:, None], np.array([0, 0, 1, 1, 2, 2, -1, -1])
    with pytest.warns(hk.HashkernelsWarning, match="query_labels hold -1, a class id like any other"):
        hk.evaluate(codes, codes, labels, labels)
    with pytest.warns(hk.HashkernelsWarning, match="^query labels hold -1, a class id"):
        hk.RetrievalEvaluator(8).update(codes, labels, "query")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hk.evaluate(codes[:6], codes, labels[:6], labels)
        hk.evaluate(codes[:6], codes, labels[:6].astype(np.uint8), (labels + 1).astype(np.uint8))


def test_zeros_among_signs_are_told():
    signs = np.array([[1, -1], [0, 1], [-1, 0]], dtype=np.float32)
    labels = np.array([0, 1, 1])
    with pytest.warns(hk.HashkernelsWarning, match="database_codes hold 2 zeros, packed as -1") as told:
        report = hk.evaluate(signs[:1], signs, labels[:1], labels)
    assert told[0].filename == __file__
    expected = hk.evaluate(signs[:1], np.where(signs == 0, -1, signs), labels[:1], labels)
    assert report.to_dict() == expected.to_dict()


def named(report):
    return {row.evaluator: row.map for row in report.compat()}


@pytest.mark.parametrize("k", [3, 40, 90])
def test_compat_equals_the_evaluators_themselves(problem, usual, k):
    case = problem(6, 40, 90, num_classes=60, seed=3)
    report = hk.evaluate(*case.arguments(), bits=6, k=k, index_order=True)
    values = named(report)
    over_hits, relevant = usual(case, k, "hits"), case.relevance.sum(1)
    assert values["usual loop"] == pytest.approx(over_hits.mean(), abs=1e-12)
    found = [
        row[np.argsort(distances, kind="stable")[:k]].any()
        for row, distances in zip(case.relevance, case.distances, strict=True)
    ]
    assert 0 < sum(found) < 40
    assert values["HashNet, thulab"] == pytest.approx(over_hits[found].mean(), abs=1e-12)
    assert values["over min(k, R)"] == pytest.approx(usual(case, k, "min").mean(), abs=1e-12)
    over_all = usual(case, k, "relevant")
    assert values["pytorch-metric-learning 2.9"] == pytest.approx(over_all[relevant > 0].mean(), abs=1e-12)
    # distinct scores in the order of a stable sort, so that an unstable sort cannot differ
    ranks = np.argsort(np.argsort(case.distances, axis=1, kind="stable"), axis=1)
    scores, targets = torch.from_numpy(1000.0 - ranks), torch.from_numpy(case.relevance)
    theirs = [retrieval_average_precision(*pair, top_k=k).item() for pair in zip(scores, targets, strict=True)]
    assert values["torchmetrics"] == pytest.approx(np.mean(theirs), abs=1e-6)
    assert values["hashkernels, expected"] == report.map
    assert values["hashkernels, optimistic"] == report.map_bounds.hi


def test_compat_over_the_whole_ranking_knows_scikit_learn(problem):
    case = problem(6, 25, 90, num_classes=4, seed=5)
    report = hk.evaluate(*case.arguments(), bits=6, ties="index")
    theirs = [average_precision_score(row, -d) for row, d in zip(case.relevance, case.distances, strict=True)]
    assert named(report)["scikit-learn"] == pytest.approx(np.mean(theirs), abs=1e-13)


def test_compat_knows_the_evaluator_that_forgets_rank_one(problem):
    """A perfect ranking of 5 relevant items scores 0.8 there, of 1000 items 0.999."""
    for relevant in (5, 1000):
        codes = np.zeros((relevant, 1), np.uint8)
        labels = np.zeros(relevant, int)
        report = hk.evaluate(codes[:1], codes, labels[:1], labels, protocol="cifar10")
        assert named(report)["TALR"] == pytest.approx(1 - 1 / relevant, abs=1e-12)
    case = problem(7, 30, 80, num_classes=20)
    expected = []
    for relevance, distances in zip(case.relevance, case.distances, strict=True):
        marks = relevance[np.argsort(distances, kind="stable")][:25]
        hits = marks.cumsum()
        recall = hits / max(hits[-1], 1)
        expected.append((np.diff(recall, prepend=recall[0]) * hits / np.arange(1, 26)).sum())
    report = hk.evaluate(*case.arguments(), bits=7, k=25, index_order=True)
    assert named(report)["TALR"] == pytest.approx(np.mean(expected), abs=1e-12)


def test_compat_without_any_hit_and_without_labels():
    codes = np.zeros((3, 1), np.uint8)
    none = hk.evaluate(codes[:1], codes, np.array([1]), np.zeros(3, int), index_order=True)
    assert named(none)["HashNet, thulab"] is None
    assert named(none)["pytorch-metric-learning 2.9"] is None
    assert "-  index order, over hits, no hit is left out" in none.compat_table()
    labels = np.array([[1, 0], [0, 0], [0, 1]])
    some = named(hk.evaluate(codes, codes, labels, labels[[0, 0, 2]], index_order=True))
    assert some["usual loop"] == pytest.approx((1 + 0 + 1 / 3) / 3, abs=1e-12)
    assert some["CSQ"] == pytest.approx((1 + 1 / 3) / 2, abs=1e-12)


def test_compat_needs_the_order(problem):
    report = hk.evaluate(*problem(8, 3, 20).arguments())
    with pytest.raises(ValueError, match="compat needs the order of the database: evaluate with index_order=True"):
        report.compat()
    with pytest.raises(ValueError, match="compat needs the order"):
        evaluate_counts(report.counts).compat()
