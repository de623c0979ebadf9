"""Hit rate, R-precision, F-score, NDCG and mis-ranks against the enumeration of every order of the ties."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashkernels.metrics import (
    RetrievalCounts,
    average_precision_at_r,
    evaluate_counts,
    f_score,
    f_score_within,
    hit_rate,
    mis_ranks,
    ndcg,
    r_precision,
)
from hashkernels.metrics._discount import Discounts

RULES = ("expected", "optimistic", "pessimistic")
TIES = st.lists(st.integers(0, 6).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), min_size=2, max_size=5)
RANKINGS = TIES.filter(lambda ties: 1 <= sum(size for size, _ in ties) <= 9)
METRICS = (hit_rate, f_score, ndcg)


def counts_of(*rankings):
    """Counts of one query for each ranking, given as ties (size, relevant)."""
    table = np.array(rankings, dtype=np.int64)
    return RetrievalCounts(table[:, :, 0].copy(), table[:, :, 1].copy())


def over_orders(values):
    """Value under each rule, the greater the better."""
    values = [float(value) for value in values]
    return {"expected": math.fsum(values) / len(values), "optimistic": max(values), "pessimistic": min(values)}


def gain(order):
    return math.fsum(hit / math.log2(rank + 1) for rank, hit in enumerate(order, 1))


def mis_ranks_of(order):
    return [sum(1 - hit for hit in order[:place]) for place, hit in enumerate(order) if hit]


@given(ranking=RANKINGS)
@settings(max_examples=60)
def test_metrics_at_k_equal_enumeration(enumeration, ranking):
    orders, counts = enumeration(ranking), counts_of(ranking)
    for k in range(1, counts.num_database + 1):
        exact = {
            hit_rate: [any(order[:k]) for order in orders.orders],
            f_score: [2 * sum(order[:k]) / (k + orders.relevant) for order in orders.orders],
            ndcg: [
                gain(order[:k]) / gain(sorted(order, reverse=True)[:k]) if orders.relevant else 0.0
                for order in orders.orders
            ],
        }
        for metric, values in exact.items():
            for rule, value in over_orders(values).items():
                assert metric(counts, k, ties=rule).per_query[0] == pytest.approx(value, abs=1e-12)


@given(ranking=RANKINGS)
@settings(max_examples=60)
def test_r_precision_equals_enumeration(enumeration, ranking):
    orders, counts = enumeration(ranking), counts_of(ranking)
    values = [sum(order[: orders.relevant]) / max(orders.relevant, 1) for order in orders.orders]
    for rule, value in over_orders(values).items():
        assert r_precision(counts, ties=rule).mean == pytest.approx(value, abs=1e-12)


@given(ranking=RANKINGS)
@settings(max_examples=60)
def test_average_precision_at_r_equals_enumeration(enumeration, ranking):
    orders, counts = enumeration(ranking), counts_of(ranking)
    values = orders.average_precision(orders.relevant, "relevant")
    for rule, value in zip(("expected", "pessimistic", "optimistic"), values, strict=True):
        assert average_precision_at_r(counts, ties=rule).mean == pytest.approx(float(value), abs=1e-12)


@given(ranking=RANKINGS)
@settings(max_examples=60)
def test_mis_ranks_equal_enumeration(enumeration, ranking):
    orders, counts = enumeration(ranking), counts_of(ranking)
    found = {rule: mis_ranks(counts, ties=rule) for rule in RULES}
    if orders.relevant == 0:
        assert all(part.tolist() == [0.0] for values in found.values() for part in values)
        return
    each = [mis_ranks_of(order) for order in orders.orders]
    for name, values in (("mean", [np.mean(ranks) for ranks in each]), ("maximum", [max(ranks) for ranks in each])):
        exact = over_orders(values)
        assert getattr(found["expected"], name)[0] == pytest.approx(exact["expected"], abs=1e-12)
        assert getattr(found["optimistic"], name)[0] == exact["pessimistic"]
        assert getattr(found["pessimistic"], name)[0] == exact["optimistic"]


@given(ranking=RANKINGS)
@settings(max_examples=100)
def test_mis_rank_bound_is_below_average_precision(ranking):
    counts = counts_of(ranking)
    for rule in RULES:
        bound = mis_ranks(counts, ties=rule).average_precision_bound[0]
        assert bound <= evaluate_counts(counts, ties=rule).per_query.average_precision[0]


@pytest.mark.parametrize("rule", RULES)
def test_mis_rank_bound_of_queries_that_attain_it(rule):
    """Where all irrelevant items come first the bound is the value, though the two are added up in other ways."""
    rng = np.random.default_rng(0)
    relevant = rng.integers(0, 30, (2000, 20))
    relevant[:, 0], relevant[:, 1] = 0, 1
    total = relevant.copy()
    total[:, 0] = rng.integers(0, 40, 2000)
    counts = RetrievalCounts(total, relevant, total.sum(1).max() - total.sum(1))
    value = evaluate_counts(counts, ties=rule).per_query.average_precision
    bound = mis_ranks(counts, ties=rule).average_precision_bound
    np.testing.assert_allclose(bound, value, rtol=1e-15)
    assert (bound <= value).all()


def test_mis_rank_bound_by_hand():
    """[+, -, +, +]: mis-ranks 0, 1, 1: the bound is (1/2 + 2/3 + 3/4) / 3, average precision (1 + 2/3 + 3/4) / 3."""
    counts = counts_of([(1, 1), (1, 0), (1, 1), (1, 1)])
    found = mis_ranks(counts)
    assert found.mean[0] == pytest.approx(2 / 3, abs=1e-15)
    assert found.maximum[0] == 1.0
    assert found.average_precision_bound[0] == pytest.approx((1 / 2 + 2 / 3 + 3 / 4) / 3, abs=1e-15)
    assert evaluate_counts(counts).map == pytest.approx((1 + 2 / 3 + 3 / 4) / 3, abs=1e-15)


@pytest.mark.parametrize(("rule", "share"), [("expected", 3 / 4), ("optimistic", 1 / 3), ("pessimistic", 7 / 6)])
def test_mis_ranks_of_billions_do_not_overflow(rule, share):
    half = 4 * 10**9
    counts = RetrievalCounts(np.array([[2 * half, half]]), np.array([[half, half // 2]]))
    found = mis_ranks(counts, ties=rule)
    assert found.mean[0] == pytest.approx(share * half, rel=1e-14)
    last = half if rule == "optimistic" else 3 * half // 2
    assert found.maximum[0] == pytest.approx(last, rel=1e-9)


def test_average_precision_is_the_mean_over_mis_ranks():
    order = np.random.default_rng(0).integers(0, 2, 200)
    ranks = mis_ranks_of(order.tolist())
    value = math.fsum(j / (j + m) for j, m in enumerate(ranks, 1)) / len(ranks)
    assert evaluate_counts(counts_of([(1, hit) for hit in order])).map == pytest.approx(value, abs=1e-13)


def test_f_score_within_equals_counting():
    rng = np.random.default_rng(4)
    total = rng.multinomial(50, np.full(9, 1 / 9), size=13)
    relevant = rng.binomial(total, 0.3)
    balls, hits, wanted = total.cumsum(1), relevant.cumsum(1), relevant.sum(1, keepdims=True)
    precision, recall = hits / np.maximum(balls, 1), hits / np.maximum(wanted, 1)
    with np.errstate(invalid="ignore"):
        score = np.nan_to_num(2 * precision * recall / (precision + recall))
    np.testing.assert_allclose(f_score_within(RetrievalCounts(total, relevant)), score.mean(0), atol=1e-14)


def test_f_score_in_terms_of_the_mis_rank():
    """At the rank i of a relevant item with mis-rank m, F = 2 (i - m) / (i + R)."""
    counts = counts_of([(1, 1), (1, 0), (1, 0), (1, 1), (1, 1)])
    assert f_score(counts, 4).mean == pytest.approx(2 * (4 - 2) / (4 + 3), abs=1e-15)


@pytest.mark.parametrize("metric", METRICS)
def test_queries_are_averaged(metric):
    rankings = [(1, 1), (2, 1)], [(3, 0), (0, 0)], [(0, 0), (3, 2)]
    together = metric(counts_of(*rankings), 2)
    alone = [metric(counts_of(ranking), 2).per_query[0] for ranking in rankings]
    assert together.per_query.tolist() == alone
    assert together.mean == pytest.approx(sum(alone) / 3, abs=1e-15)


@pytest.mark.parametrize("rule", RULES)
def test_ndcg_of_perfect_rankings_is_exactly_one(rule):
    relevant = np.random.default_rng(0).integers(0, 20, (500, 6))
    relevant[:, 0], relevant[:, -1] = 1, 0
    total = relevant.copy()
    total[:, -1] = 200 - relevant.sum(1)
    counts = RetrievalCounts(total, relevant)
    for k in (1, 5, 30, 200):
        assert ndcg(counts, k, ties=rule).per_query.tolist() == [1.0] * 500
    worse = RetrievalCounts(total[:, ::-1].copy(), relevant[:, ::-1].copy())
    assert ndcg(worse, ties=rule).per_query.max() < 1.0


def test_hit_rate_of_large_ties_does_not_underflow_to_a_wrong_answer():
    counts = counts_of([(1_000_000, 2), (0, 0)], [(1_000_000, 600_000), (0, 0)], [(1_000_000, 0), (0, 0)])
    found = hit_rate(counts, 500_000).per_query
    nothing = (500_000 / 1_000_000) * (499_999 / 999_999)
    assert found[0] == pytest.approx(1 - nothing, abs=1e-14)
    assert found[1:].tolist() == [1.0, 0.0]


def test_discounts_do_not_depend_on_their_blocks():
    ends = np.array([0, 1, 5, 65_535, 65_536, 65_537, 200_000])
    discounts = Discounts(ends)
    for begin, end in ((0, 5), (5, 65_536), (65_535, 65_537), (0, 200_000), (65_537, 200_000), (5, 5)):
        exact = math.fsum(1 / math.log2(rank + 1) for rank in range(begin + 1, end + 1))
        found = float(discounts.between(np.array([begin]), np.array([end]))[0])
        assert found == pytest.approx(exact, rel=1e-14)


@pytest.mark.parametrize("metric", METRICS)
def test_bad_arguments_are_named(metric):
    counts = counts_of([(1, 1), (2, 1)])
    with pytest.raises(ValueError, match=r"k must be in 1\.\.3, got 4"):
        metric(counts, 4)
    with pytest.raises(ValueError, match="ties must be one of expected, optimistic, pessimistic, got 'index'"):
        metric(counts, 2, ties="index")
    with pytest.raises(TypeError, match="counts must be RetrievalCounts, got int"):
        metric(3, 2)


@pytest.mark.parametrize("metric", [average_precision_at_r, r_precision, mis_ranks])
def test_bad_arguments_without_k_are_named(metric):
    with pytest.raises(ValueError, match="ties must be one of"):
        metric(counts_of([(1, 1), (2, 1)]), ties="random")
    with pytest.raises(ValueError, match="counts must be of at least one database item"):
        metric(counts_of([(0, 0), (0, 0)]))
