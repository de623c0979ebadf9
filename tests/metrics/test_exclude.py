"""Items left out of a ranking, relevance given pair by pair, and grades, against the same with the items taken away."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.sparse
import torch

import hashkernels as hk
from hashkernels.metrics import evaluate_counts, ndcg, qrels_relevance, retrieval_counts

RULES = ("expected", "index", "optimistic", "pessimistic")


@pytest.mark.parametrize("ties", RULES)
@pytest.mark.parametrize("multi_hot", [False, True])
def test_leaving_out_oneself_equals_taking_the_item_away(isa, problem, ties, multi_hot):
    case = problem(9, 30, 30, multi_hot=multi_hot, num_classes=4)
    codes, labels = case.database_codes, case.database_labels
    for k in (1, 7, 29):
        report = hk.evaluate(codes, codes, labels, labels, bits=9, k=k, ties=ties, exclude_self=True)
        for query in range(30):
            rest = np.delete(np.arange(30), query)
            alone = hk.evaluate(
                codes[query : query + 1],
                codes[rest],
                labels[query : query + 1],
                labels[rest],
                bits=9,
                k=k,
                ties=ties,
            )
            for name in ("average_precision", "least", "greatest", "relevant", "hits"):
                assert getattr(report.per_query, name)[query] == getattr(alone.per_query, name)[0]
    assert report.num_database == 30
    assert report.num_ranked == 29
    assert report.protocol.startswith("mAP, 9 bits, 30 queries, 30 database items (29 ranked at most)")


def test_rankings_of_different_lengths(problem):
    case = problem(9, 5, 40)
    exclude = np.array([[3, 4, -1], [-1, -1, -1], [0, 39, 7], [-1, 5, -1], [1, -1, 2]])
    report = hk.evaluate(*case.arguments(), bits=9, exclude=exclude, index_order=True)
    assert report.num_ranked == 40
    for query in range(5):
        rest = np.setdiff1d(np.arange(40), exclude[query])
        part = hk.evaluate(
            case.query_codes[[query]],
            case.database_codes[rest],
            case.query_labels[[query]],
            case.database_labels[rest],
            bits=9,
        )
        assert report.per_query.average_precision[query] == part.map
        assert report.per_query.least[query] == part.map_bounds.lo
        assert report.counts.total[query].tolist() == part.counts.total[0].tolist()
    lists = {query: [item for item in row if item >= 0] for query, row in enumerate(exclude.tolist())}
    for form in (lists, torch.from_numpy(exclude)):
        assert hk.evaluate(*case.arguments(), bits=9, exclude=form).map == report.map


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64, np.int8, np.int16])
@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_positions_left_out_may_be_integers_of_any_dtype(problem, dtype, kind):
    case = problem(9, 3, 20)
    positions = np.array([19, 0, 7])
    wanted = hk.evaluate(*case.arguments(), bits=9, exclude=positions).map
    assert hk.evaluate(*case.arguments(), bits=9, exclude=kind(positions.astype(dtype))).map == wanted
    column = kind(positions[:, None].astype(dtype))
    if np.dtype(dtype).kind == "i":
        assert hk.evaluate(*case.arguments(), bits=9, exclude=column).map == wanted
    mask = kind((np.arange(20) == positions[:, None]).astype(dtype))
    if np.dtype(dtype).kind == "u":
        assert hk.evaluate(*case.arguments(), bits=9, exclude=mask).map == wanted


@pytest.mark.parametrize(
    "exclude",
    [
        {0: {0: 0.0}},
        np.array([[0.0, 0.0, 0.0]]),
        (np.array([0.0]), np.array([0]), np.array([0, 1])),
        scipy.sparse.csr_array((np.array([0.0]), np.array([0]), np.array([0, 1])), shape=(1, 3)),
        torch.sparse_coo_tensor([[0], [0]], [0.0], (1, 3), check_invariants=True),
    ],
    ids=["gains", "dense", "three arrays", "scipy csr", "coo"],
)
def test_an_item_without_gain_is_not_left_out(exclude):
    database = np.array([[0], [1], [3]], np.uint8)
    report = hk.evaluate(database[:1], database, np.array([0]), np.array([0, 1, 0]), exclude=exclude)
    assert report.num_ranked == 3


def test_counts_with_items_left_out_add_up(problem):
    case = problem(9, 5, 40)
    exclude = np.array([0, 10, 20, 30, 39])
    whole = hk.evaluate(*case.arguments(), bits=9, exclude=exclude)
    half = retrieval_counts(case.query_codes, case.database_codes[:20], case.query_labels, case.database_labels[:20])
    assert (half + half).left_out is None
    assert without_labels(evaluate_counts(whole.counts)) == without_labels(whole)
    assert (whole.counts + whole.counts).left_out.tolist() == [2] * 5
    assert (whole.counts + whole.counts).num_ranked == 78


def without_labels(report):
    """What reports of labels, of counts and of relevance have in common: only labels name classes and show which
    queries, left out by CSQ's evaluator, have none."""
    result = report.to_dict(per_query=True)
    result.pop("per_class", None)
    if "compat" in result:
        result["compat"] = [row for row in result["compat"] if row["evaluator"] != "CSQ"]
    return result


def relevance_forms(relevance):
    rows = [np.flatnonzero(row) for row in relevance]
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    items = np.concatenate(rows)
    dense = torch.from_numpy(relevance.astype(np.float32))
    return {
        "dense": relevance,
        "tensor": dense,
        "coo": dense.to_sparse(),
        "csr tensor": dense.to_sparse_csr(),
        "scipy csr": scipy.sparse.csr_matrix(relevance.astype(np.int64)),
        "scipy coo": scipy.sparse.coo_array(relevance.astype(np.float64)),
        "scipy dok": scipy.sparse.dok_array(relevance.astype(np.float64)),
        "two arrays": (items, offsets),
        "three arrays": (np.ones(len(items)), items, offsets),
        "three tensors": tuple(map(torch.from_numpy, (np.ones(len(items)), items, offsets))),
        "lists": {query: row.tolist() for query, row in enumerate(rows)},
        "arrays": dict(enumerate(rows)),
        "gains": {query: dict.fromkeys(row.tolist(), 2.5) for query, row in enumerate(rows)},
    }


FORMS = (
    *("dense", "tensor", "coo", "csr tensor", "scipy csr", "scipy coo", "scipy dok", "two arrays", "three arrays"),
    *("three tensors", "lists", "arrays", "gains"),
)


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
@pytest.mark.parametrize("form", FORMS)
def test_relevance_in_any_form_equals_labels(problem, form):
    case = problem(12, 9, 70, multi_hot=True)
    relevance = relevance_forms(case.relevance)[form]
    for ties in RULES:
        labels = hk.evaluate(*case.arguments(), bits=12, ties=ties, k=(5, 70))
        listed = hk.evaluate(*case.arguments()[:2], relevance=relevance, bits=12, ties=ties, k=(5, 70))
        assert without_labels(listed) == without_labels(labels)
    excluded = np.arange(9) * 3
    labels = hk.evaluate(*case.arguments(), bits=12, exclude=excluded, index_order=True)
    listed = hk.evaluate(*case.arguments()[:2], relevance=relevance, bits=12, exclude=excluded, index_order=True)
    assert without_labels(listed) == without_labels(labels)


def test_names_become_positions():
    qrels = {"q1": {"d3": 2, "d9": 1}, "q0": {"d0": 0}, "unknown": {"d0": 1}}
    relevance = qrels_relevance(qrels, ["q0", "q1"], ["d0", "d3"])
    assert relevance == {1: {1: 2.0}, 0: {0: 0.0}}
    report = hk.evaluate(np.zeros((2, 1), np.uint8), np.array([[0], [1]], np.uint8), relevance=relevance)
    assert report.per_query.relevant.tolist() == [0, 1]
    assert report.per_query.average_precision.tolist() == [0.0, 0.5]
    with pytest.raises(ValueError, match="database_ids must be distinct, got 1 that come twice"):
        qrels_relevance(qrels, ["q0"], ["d0", "d0"])
    for wrong in ({"q0": ["d0"]}, [("q0", {"d0": 1})]):
        with pytest.raises(TypeError, match="qrels must map each query id to gains by item id, got list"):
            qrels_relevance(wrong, ["q0"], ["d0"])
    with pytest.raises(TypeError, match="qrels must have numbers as gains, got 'b'"):
        qrels_relevance({"q0": {"d0": "b"}}, ["q0"], ["d0"])
    for ids in (np.array, torch.tensor):
        assert qrels_relevance({7: {3: 2}}, ids([9, 7]), ids([3, 1])) == {1: {0: 2.0}}


def dcg(gains):
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))


@pytest.mark.parametrize("k", [1, 3, 5, 8])
def test_graded_ndcg_equals_going_through_every_order(k):
    """Ties of 3, 1 and 4 items: 3! 1! 4! orders, each with its own NDCG."""
    database = np.array([[0]] * 3 + [[1]] + [[3]] * 4, dtype=np.uint8)
    gains = {0: {0: 3.0, 2: 1.0, 4: 2.0, 5: 0.5, 7: 0.0}}
    of_item = [gains[0].get(item, 0.0) for item in range(8)]
    best = dcg(sorted(of_item, reverse=True)[:k])
    values = [
        dcg([of_item[item] for item in (*first, 3, *last)][:k]) / best
        for first in itertools.permutations(range(3))
        for last in itertools.permutations(range(4, 8))
    ]
    expected = {"expected": np.mean(values), "optimistic": max(values), "pessimistic": min(values)}
    for ties, value in expected.items():
        report = hk.evaluate(database[:1], database, relevance=gains, ties=ties)
        assert report.ndcg(k).mean == pytest.approx(value, abs=1e-14)


def test_graded_ndcg_of_equal_gains_is_ndcg(problem):
    case = problem(10, 12, 60, num_classes=9)
    for ties in ("expected", "optimistic", "pessimistic"):
        labels = hk.evaluate(*case.arguments(), bits=10, ties=ties)
        gains = hk.evaluate(*case.arguments()[:2], bits=10, relevance=case.relevance * 7.0, ties=ties)
        for k in (None, 4):
            np.testing.assert_allclose(gains.ndcg(k).per_query, labels.ndcg(k).per_query, atol=1e-14)
            assert labels.ndcg(k).mean == ndcg(labels.counts, k, ties=ties).mean


@pytest.mark.parametrize("scale", [2.0**1021, 1.0, 5e-324])
@pytest.mark.parametrize("ties", ["expected", "optimistic", "pessimistic"])
def test_graded_ndcg_does_not_depend_on_the_scale_of_the_gains(scale, ties):
    database = np.array([[0], [1], [1], [3]], np.uint8)
    gains = {0: 6.0, 1: 3.0, 2: 6.0}
    expected = hk.evaluate(database[:2], database, relevance={1: gains, 0: {3: 1.0}}, ties=ties).ndcg()
    scaled = {item: gain * scale for item, gain in gains.items()}
    found = hk.evaluate(database[:2], database, relevance={1: scaled, 0: {3: 1.0}}, ties=ties).ndcg()
    assert found.per_query.tolist() == expected.per_query.tolist()
    assert 0 < found.mean < 1


def test_dense_relevance_of_floats_that_numpy_lacks():
    database = np.array([[0], [1], [3]], np.uint8)
    relevance = torch.tensor([[0.0, 2.0, 1.0]])
    wanted = hk.evaluate(database[:1], database, relevance=relevance).ndcg().mean
    for dtype in (torch.bfloat16, torch.float8_e4m3fn):
        assert hk.evaluate(database[:1], database, relevance=relevance.to(dtype)).ndcg().mean == wanted


BAD_RELEVANCE = [
    ({0: [4]}, ValueError, r"relevance must name items in 0\.\.3, got 4"),
    ({5: [0]}, ValueError, r"relevance must name queries in 0\.\.1, got 5"),
    ({0: {1: -1.0}}, ValueError, "relevance must hold finite gains of at least 0"),
    ({0: {1: float("nan")}}, ValueError, "relevance must hold finite gains of at least 0"),
    ({0: {1: "a"}}, TypeError, "relevance given as a dict must have numbers as gains"),
    ({0: {1: "2"}}, TypeError, "relevance given as a dict must have numbers as gains"),
    ({0: 3}, TypeError, "relevance given as a dict must have items, or gains by item, got int"),
    ({0: [2**70]}, ValueError, "relevance given as a dict must have positions and gains that fit 64 bits"),
    (np.full((2, 4), "a"), TypeError, "relevance must hold real numbers, got <U1"),
    (np.ones((2, 4), complex), TypeError, "relevance must hold real numbers, got complex128"),
    (torch.ones(2, 4).cfloat().to_sparse(), TypeError, "relevance must hold real numbers, got complex64"),
    ((np.array(["a"]), np.array([0]), np.array([0, 1, 1])), TypeError, "relevance must hold real numbers, got <U1"),
    ({"q": {1: 1}}, TypeError, "relevance given as a dict must name positions: qrels_relevance turns names"),
    (np.ones((2, 3)), ValueError, r"relevance must have shape \(2, 4\), got \(2, 3\)"),
    ((np.array([0, 1]), np.array([0, 1])), ValueError, "must have an indptr of 3 ascending offsets from 0 to 2"),
    ((np.array([0, 0]), np.array([0, 2, 2])), ValueError, "relevance must name an item once a query, got item 0 twice"),
    ((np.ones(1), np.array([0, 1]), np.array([0, 1, 2])), ValueError, "as many gains as indices, 2, got 1"),
    ((np.array([0.0, 1.0]), np.array([0, 1, 2])), TypeError, "relevance given as CSR must be one-dimensional"),
    ([1, 2], TypeError, r"relevance must be a dict, a sparse or dense matrix \[Q, N\], or a CSR tuple"),
]


@pytest.mark.parametrize(("relevance", "error", "message"), BAD_RELEVANCE)
def test_bad_relevance_is_named(relevance, error, message):
    codes = np.zeros((4, 1), np.uint8)
    with pytest.raises(error, match=message):
        hk.evaluate(codes[:2], codes, relevance=relevance)
