"""Queries with nothing relevant, and bad input."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

import hashkernels as hk
from hashkernels.metrics import RetrievalCounts, code_statistics, evaluate_counts, retrieval_counts

RULES = ("expected", "index", "optimistic", "pessimistic")
CODES = np.array([[0b0000], [0b0000], [0b0001], [0b0011]], dtype=np.uint8) << 4
IDS = np.array([0, 1, 1, 2])


def counts_of(*rankings):
    table = np.array(rankings, dtype=np.int64)
    return RetrievalCounts(table[:, :, 0].copy(), table[:, :, 1].copy())


HIT_FIRST = [(1, 1), (1, 0), (1, 1)]
HIT_LAST = [(1, 0), (1, 0), (1, 1)]
NO_RELEVANT = [(1, 0), (1, 0), (1, 0)]
HIT_IF_LUCKY = [(2, 1), (1, 0), (0, 0)]


def test_zero_counts_a_query_without_a_hit_as_zero():
    report = evaluate_counts(counts_of(HIT_FIRST, HIT_LAST, NO_RELEVANT), k=2)
    assert report.per_query.average_precision.tolist() == [1.0, 0.0, 0.0]
    assert report.map == 1 / 3
    assert report.num_counted == 3


def test_skip_leaves_out_a_query_without_a_hit_within_k():
    report = evaluate_counts(counts_of(HIT_FIRST, HIT_LAST, NO_RELEVANT), k=(2, 3), zero_hit="skip")
    assert report.map_at[2] == 1.0
    assert report.map_at[3] == pytest.approx((5 / 6 + 1 / 3) / 2, abs=1e-15)
    assert report.per_query.counted.tolist() == [True, True, False]
    assert report.num_counted == 2
    assert "3 queries (1 left out)" in report.protocol
    # a query with nothing relevant anywhere is left out of the other means too, one without a hit within k is not
    assert report.precision_at[2] == 0.25
    assert report.recall_at[2] == 0.25
    assert report.recall_within.tolist() == [0.25, 0.25, 1.0]


def test_skip_keeps_a_query_that_some_order_of_its_ties_can_answer():
    for ties, expected in (("expected", 0.5), ("optimistic", 1.0), ("pessimistic", 0.0)):
        report = evaluate_counts(counts_of(HIT_IF_LUCKY, NO_RELEVANT), k=1, zero_hit="skip", ties=ties)
        assert report.num_counted == 1
        assert report.map == expected
        assert report.map_bounds == (0.0, 1.0)


def test_skip_in_index_order_goes_by_that_order():
    arguments = CODES[[0]], CODES, np.array([1]), IDS
    assert hk.evaluate(*arguments, bits=4, k=1, ties="index").map == 0.0
    assert hk.evaluate(*arguments, bits=4, k=2, ties="index", zero_hit="skip").num_counted == 1
    with pytest.raises(ValueError, match=r"labels or relevance must give some query a relevant item within k=1"):
        hk.evaluate(*arguments, bits=4, k=1, ties="index", zero_hit="skip")


def test_skip_with_nothing_left_is_an_error():
    with pytest.raises(ValueError, match=r'relevant item within k=3 \(zero_hit="skip"\), got none'):
        evaluate_counts(counts_of(NO_RELEVANT), zero_hit="skip")


def test_error_names_the_query_and_its_k():
    counts = counts_of(HIT_FIRST, HIT_LAST)
    assert evaluate_counts(counts, zero_hit="error").num_counted == 2
    with pytest.raises(ValueError, match=r"or relevance .* within k=2 \(zero_hit=\"error\"\), got none for query 1"):
        evaluate_counts(counts, k=(2, 3), zero_hit="error")


def test_multi_hot_rows_without_a_label_are_relevant_to_nothing():
    labels = np.array([[0, 0], [1, 0], [0, 1], [0, 0]])
    report = hk.evaluate(CODES[:2], CODES, labels[:2], labels, bits=4)
    assert report.per_query.relevant.tolist() == [0, 1]


HOT = np.eye(3, dtype=np.int64)[IDS]
BAD_CALLS = [
    (
        {"query_labels": HOT},
        ValueError,
        "database_labels must be multi-hot [N, C] like query_labels",
    ),
    ({"database_labels": HOT}, ValueError, "database_labels must be class ids [N] like query_labels"),
    ({"query_labels": HOT, "database_labels": HOT[:, :2]}, ValueError, "database_labels must have 3 classes"),
    (
        {"query_labels": HOT * 2, "database_labels": HOT},
        ValueError,
        "query_labels given as multi-hot must hold",
    ),
    (
        {"query_labels": HOT * np.nan, "database_labels": HOT},
        ValueError,
        "query_labels given as multi-hot must hold",
    ),
    (
        {"query_labels": HOT[:, :0], "database_labels": HOT[:, :0]},
        ValueError,
        "query_labels given as multi-hot must have",
    ),
    ({"database_labels": IDS[:3]}, ValueError, "database_labels must have one row for each of 4 items, got 3"),
    ({"query_labels": IDS.astype(np.uint64) + 2**63}, ValueError, "query_labels must be below 2^63, got 9223372036854"),
    (
        {"query_labels": HOT * 1j, "database_labels": HOT},
        TypeError,
        "query_labels given as multi-hot must be real, got complex128",
    ),
    ({"query_labels": IDS * 1.0}, TypeError, "query_labels given as class ids must be integers"),
    ({"query_labels": IDS > 0}, TypeError, "query_labels given as class ids must be integers"),
    (
        {"query_labels": IDS[:, None], "database_labels": IDS[:, None]},
        ValueError,
        "query_labels must be class ids [N], or",
    ),
    ({"query_labels": IDS[:, None, None]}, ValueError, "query_labels must be class ids [N] or multi-hot [N, C]"),
    ({"query_labels": IDS.tolist()}, TypeError, "query_labels must be a torch.Tensor or a numpy.ndarray, got list"),
    ({"query_codes": CODES.repeat(2, axis=1)}, ValueError, "query_codes must have 1 byte a code for 4 bits, got 2"),
    (
        {"database_codes": CODES.repeat(2, axis=1), "bits": None},
        ValueError,
        "database_codes must have 1 byte a code like",
    ),
    ({"database_codes": CODES | 1}, ValueError, "database_codes must have zero pad bits beyond bit 4"),
    (
        {"query_codes": CODES.astype(np.complex64)},
        TypeError,
        "query_codes must be uint8 packed codes, bool, or real -1/+1, got complex64",
    ),
    (
        {"query_codes": CODES.astype(np.int8)},
        ValueError,
        "query_codes given as -1/+1 must have 4 columns for 4 bits, got 1; packed codes must be uint8",
    ),
    (
        {"query_codes": np.full((4, 4), 0.5)},
        ValueError,
        "query_codes of float64 must hold only -1 and +1: pack embeddings with pack_codes",
    ),
    ({"query_codes": np.ones(4)}, ValueError, "query_codes must have 2 dimensions, got shape (4,)"),
    ({"query_labels": None}, TypeError, "evaluate needs query_labels and database_labels, or relevance"),
    ({"relevance": {}}, TypeError, "evaluate needs query_labels and database_labels, or relevance in their place"),
    ({"protocol": "cifar"}, ValueError, "protocol must be one of cifar10-1, cifar10-2, cifar10, nuswide-21"),
    ({"protocol": "coco"}, ValueError, 'protocol "coco" needs at least 5000 items to rank, got 4'),
    ({"protocol": "cifar10-1", "k": 2}, ValueError, "k must be 4, alone or as the largest of several, with protocol"),
    ({"protocol": "coco", "k": 4}, ValueError, 'protocol "coco" needs at least 5000 items'),
    (
        {"protocol": "cifar10", "denominator": "min"},
        ValueError,
        'denominator must be "hits" with protocol "cifar10", got "min"',
    ),
    (
        {"protocol": "cifar10", "zero_hit": "skip"},
        ValueError,
        'zero_hit must be "zero" with protocol "cifar10", got "skip"',
    ),
    ({"exclude": np.arange(3)}, ValueError, "exclude must have shape [4] or [4, E], got (3,)"),
    ({"exclude": np.array([0, 1, 2, 4])}, ValueError, "exclude must name items in 0..3, got 4"),
    ({"exclude": np.array([[0, 0]] * 4)}, ValueError, "exclude must name an item once a query, got item 0 twice for 0"),
    ({"exclude": np.tile(np.arange(4), (4, 1))}, ValueError, "exclude must leave at least one item to rank, got none"),
    ({"exclude": np.full(4, 2**64 - 1, np.uint64)}, ValueError, "exclude must name items in 0..3, got -1"),
    ({"exclude": np.array(3)}, ValueError, "exclude must have shape [4] or [4, E], got ()"),
    ({"exclude": np.eye(4, dtype=int)}, ValueError, "exclude given as a matrix of 0 and 1 must be bool, unsigned or"),
    (
        {"exclude": np.ones((4, 2), np.uint8)},
        ValueError,
        "exclude must have shape (4, 4) (positions [Q, E] must",
    ),
    ({"exclude": {0: {1: -1.0}}}, ValueError, "exclude must hold finite gains of at least 0"),
    ({"exclude": np.full((4, 4), np.nan)}, ValueError, "exclude must hold finite gains of at least 0"),
    ({"exclude": np.arange(4), "exclude_self": True}, ValueError, "exclude and exclude_self exclude each other"),
    ({"exclude": "self"}, TypeError, "exclude must be a dict, a sparse or dense matrix [Q, N], or a CSR tuple"),
    (
        {"query_codes": CODES[:2], "query_labels": IDS[:2], "exclude_self": True},
        ValueError,
        "exclude_self needs as many queries as database items, got 2 and 4",
    ),
    ({"distributed": True}, RuntimeError, "distributed needs torch.distributed.init_process_group first"),
    ({"query_codes": CODES[0]}, ValueError, "query_codes must have 2 dimensions, got shape (1,)"),
    (
        {"query_codes": CODES[:0], "query_labels": IDS[:0]},
        ValueError,
        "query_codes must hold at least one code, got none",
    ),
    (
        {"database_codes": CODES[:0], "database_labels": IDS[:0]},
        ValueError,
        "database_codes must hold at least one code",
    ),
    ({"bits": 0}, ValueError, "bits must be in 1..4096, got 0"),
    ({"bits": 4.0}, TypeError, "bits must be an int, got float"),
    ({"k": 0}, ValueError, "k must be in 1..4, got 0"),
    ({"k": 5}, ValueError, "k must be in 1..4, got 5"),
    ({"k": (1, 5)}, ValueError, "k must be in 1..4, got 5"),
    ({"k": ()}, ValueError, "k must name at least one cutoff, got none"),
    ({"k": 2.0}, TypeError, "k must be an int or several, got float"),
    ({"k": "2"}, TypeError, "k must be an int or several, got str"),
    ({"k": np.array(5)}, ValueError, "k must be in 1..4, got 5"),
    ({"k": np.array(2.0)}, TypeError, "k must be an int or several, got float"),
    ({"k": True}, TypeError, "k must be an int, got bool"),
    ({"ties": "stable"}, ValueError, "ties must be one of expected, index, optimistic, pessimistic, got"),
    ({"denominator": "R"}, ValueError, "denominator must be one of hits, min, relevant, got 'R'"),
    ({"zero_hit": 0}, TypeError, "zero_hit must be a str, got int"),
    ({"threads": 0}, ValueError, "threads must be in 1..4096, got 0"),
    ({"threads": 2**31}, ValueError, "threads must be in 1..4096, got 2147483648"),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD_CALLS, ids=[message[:40] for _, _, message in BAD_CALLS])
def test_bad_input_names_the_argument(change, error, message):
    good = {"query_codes": CODES, "database_codes": CODES, "query_labels": IDS, "database_labels": IDS, "bits": 4}
    with pytest.raises(error, match=re.escape(message)):
        hk.evaluate(**{**good, **change})


def test_bad_input_as_tensors():
    tensors = [torch.from_numpy(array) for array in (CODES, CODES, IDS, IDS)]
    with pytest.raises(ValueError, match="pad bits"):
        hk.evaluate(tensors[0], tensors[1] | 1, *tensors[2:], bits=4)


def test_counts_hold_no_index_order():
    with pytest.raises(ValueError, match="ties must be one of expected, optimistic, pessimistic, got 'index'"):
        evaluate_counts(counts_of(HIT_FIRST), ties="index")
    with pytest.raises(TypeError, match="counts must be RetrievalCounts, got tuple"):
        evaluate_counts((1, 2))


BAD_COUNTS = [
    ([[1, 2]], [[0, 0]], TypeError, "total must be an int64 array, got list"),
    (np.ones((1, 2)), np.zeros((1, 2), np.int64), TypeError, "total must be an int64 array, got float64"),
    (np.ones(3, np.int64), np.ones(3, np.int64), ValueError, "total must have shape [Q, bits + 1]"),
    (np.ones((0, 3), np.int64), np.ones((0, 3), np.int64), ValueError, "with Q >= 1"),
    (np.ones((1, 3), np.int64), np.ones((1, 2), np.int64), ValueError, "relevant must have shape (1, 3) like total"),
    (np.ones((1, 3), np.int64), np.full((1, 3), 2), ValueError, "relevant must be in 0..total"),
    (np.ones((1, 3), np.int64), np.full((1, 3), -1), ValueError, "relevant must be in 0..total"),
    (np.array([[1, 1], [1, 2]]), np.zeros((2, 2), np.int64), ValueError, "one number of items in every row, got 2..3"),
]


@pytest.mark.parametrize(("total", "relevant", "error", "message"), BAD_COUNTS)
def test_bad_counts(total, relevant, error, message):
    with pytest.raises(error, match=re.escape(message)):
        RetrievalCounts(total, relevant)


@pytest.mark.parametrize(
    ("left_out", "message"),
    [
        (np.array([-1]), "left_out must be at least 0, got -1"),
        (np.zeros(2, np.int64), r"left_out must have shape \(1,\), one a row, got \(2,\)"),
    ],
)
def test_bad_numbers_of_items_left_out(left_out, message):
    with pytest.raises(ValueError, match=message):
        RetrievalCounts(np.ones((1, 3), np.int64), np.zeros((1, 3), np.int64), left_out)


def test_counts_of_different_queries_do_not_add():
    with pytest.raises(ValueError, match=r"counts to add must have shape \(1, 3\), got \(2, 3\)"):
        counts_of(HIT_FIRST) + counts_of(HIT_FIRST, HIT_LAST)
    with pytest.raises(TypeError):
        counts_of(HIT_FIRST) + 1


def test_counts_without_items_cannot_be_evaluated():
    with pytest.raises(ValueError, match="counts must be of at least one database item, got 0"):
        evaluate_counts(counts_of([(0, 0), (0, 0)]))


def test_retrieval_counts_checks_its_arguments():
    with pytest.raises(ValueError, match="query_labels must have one row for each of 4 items"):
        retrieval_counts(CODES, CODES, IDS[:1], IDS)


def test_code_statistics_checks_its_arguments():
    with pytest.raises(ValueError, match="codes must have zero pad bits beyond bit 4"):
        code_statistics(CODES | 1, 4)
    with pytest.raises(ValueError, match="codes must hold at least one code, got none"):
        code_statistics(CODES[:0], 4)
    with pytest.raises(TypeError, match="codes must be uint8"):
        code_statistics(CODES.astype(np.int32), 4)
    with pytest.raises(ValueError, match=r"bits must be in 1\.\.4096, got -1"):
        code_statistics(CODES, -1)
