"""Closed forms of average precision against the enumeration of every order of the ties."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashkernels.metrics import RetrievalCounts, evaluate_counts, radius_curve

DENOMINATORS = ("hits", "min", "relevant")
TIES = st.lists(st.integers(0, 7).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), min_size=2, max_size=5)
RANKINGS = TIES.filter(lambda ties: 1 <= sum(size for size, _ in ties) <= 11)


def counts_of(*rankings):
    """Counts of one query for each ranking, given as ties (size, relevant)."""
    table = np.array(rankings, dtype=np.int64)
    return RetrievalCounts(table[:, :, 0].copy(), table[:, :, 1].copy())


@pytest.mark.parametrize("denominator", DENOMINATORS)
@given(ranking=RANKINGS)
@settings(max_examples=80)
def test_average_precision_equals_enumeration(enumeration, denominator, ranking):
    orders = enumeration(ranking)
    num_database = sum(size for size, _ in ranking)
    for k in range(1, num_database + 1):
        exact = orders.average_precision(k, denominator)
        report = evaluate_counts(counts_of(ranking), k=k, denominator=denominator)
        assert report.map == pytest.approx(float(exact.mean), abs=1e-12)
        assert report.map_bounds.lo == pytest.approx(float(exact.least), abs=1e-12)
        assert report.map_bounds.hi == pytest.approx(float(exact.greatest), abs=1e-12)


@pytest.mark.parametrize("denominator", DENOMINATORS)
@given(size=st.integers(1, 14), data=st.data())
@settings(max_examples=100)
def test_cut_through_one_large_tie_equals_enumeration(enumeration, denominator, size, data):
    ranking = [(1, data.draw(st.integers(0, 1))), (size, data.draw(st.integers(0, size)))]
    k = data.draw(st.integers(1, size + 1))
    exact = enumeration(ranking).average_precision(k, denominator)
    report = evaluate_counts(counts_of(ranking), k=k, denominator=denominator)
    np.testing.assert_allclose(
        [report.map, *report.map_bounds], [float(exact.mean), float(exact.least), float(exact.greatest)], atol=1e-12
    )


def test_queries_do_not_influence_each_other(enumeration):
    rankings = [[(3, 1), (4, 2), (2, 0)], [(0, 0), (9, 4), (0, 0)], [(1, 0), (1, 1), (7, 7)], [(4, 0), (4, 0), (1, 1)]]
    for denominator in DENOMINATORS:
        together = evaluate_counts(counts_of(*rankings), k=5, denominator=denominator).per_query
        for row, ranking in enumerate(rankings):
            exact = enumeration(ranking).average_precision(5, denominator)
            assert together.average_precision[row] == pytest.approx(float(exact.mean), abs=1e-14)
            assert together.least[row] == pytest.approx(float(exact.least), abs=1e-14)
            assert together.greatest[row] == pytest.approx(float(exact.greatest), abs=1e-14)


def test_rules_take_the_mean_and_the_bounds():
    counts = counts_of([(2, 1), (3, 2)], [(1, 0), (4, 1)])
    reports = {ties: evaluate_counts(counts, k=4, ties=ties) for ties in ("expected", "optimistic", "pessimistic")}
    lo, hi = reports["expected"].map_bounds
    assert reports["pessimistic"].map == lo
    assert reports["optimistic"].map == hi
    assert lo < reports["expected"].map < hi
    np.testing.assert_array_equal(
        reports["optimistic"].per_query.average_precision, reports["expected"].per_query.greatest
    )


@pytest.mark.parametrize("denominator", DENOMINATORS)
@pytest.mark.parametrize("first", [0, 1, 7, 79])
def test_a_perfect_ranking_is_exactly_one(denominator, first):
    sizes = [80, 81, 90, 103, 104, 1000, 4099]  # sums of so many harmonic terms round up, or down
    rankings = [((first, first), (size - first, size - first), (5000 - size, 0)) for size in sizes]
    for k in (*sizes, 5000):
        report = evaluate_counts(counts_of(*rankings), k=k, denominator=denominator)
        exact = [min(k / size, 1) if denominator == "relevant" else 1 for size in sizes]
        for values in report.per_query[:3]:  # the mean, least and greatest
            np.testing.assert_array_equal(values, exact)
        assert report.map_bounds.hi <= 1
        assert report.bootstrap(num_resamples=10).hi <= 1
    within = radius_curve(report.counts).average_precision
    assert within.tolist() == [float(first > 0), 1.0, 1.0]


@pytest.mark.parametrize("denominator", DENOMINATORS)
def test_the_best_order_of_a_tie_is_exactly_one_where_it_is_perfect(denominator):
    rankings = [((50, 50), (500, positives)) for positives in range(1, 500)]
    report = evaluate_counts(counts_of(*rankings), denominator=denominator)
    np.testing.assert_array_equal(report.per_query.greatest, 1)


def test_finding_more_can_lower_average_precision_over_hits():
    """[+, -, +] scores (1 + 2/3) / 2 and [+, -, -] scores 1 at k = 3."""
    found_two = counts_of([(1, 1), (1, 0), (1, 1), (1, 0)])
    found_one = counts_of([(1, 1), (1, 0), (1, 0), (1, 1)])
    assert evaluate_counts(found_two, k=3).map == pytest.approx(5 / 6, abs=1e-15)
    assert evaluate_counts(found_one, k=3).map == 1.0
    assert evaluate_counts(found_one, k=3, denominator="min").map == 0.5
    # the same two as the orders of one tie
    either = evaluate_counts(counts_of([(1, 1), (1, 0), (2, 1)]), k=3)
    assert either.map_bounds == pytest.approx((5 / 6, 1.0), abs=1e-15)
    assert either.map == pytest.approx((5 / 6 + 1.0) / 2, abs=1e-15)


def test_denominators_coincide_on_the_whole_ranking():
    counts = counts_of([(2, 1), (3, 2), (1, 1)], [(1, 0), (4, 1), (1, 0)])
    values = {evaluate_counts(counts, denominator=denominator).map for denominator in DENOMINATORS}
    assert len(values) == 1


def exact_expected(sizes, positives, scale=1 << 100):
    """Mean of average precision over all orders, in integers: each rank rounded down to a multiple of 1 / scale."""
    total = before = positives_before = 0
    for n, p in zip(sizes, positives, strict=True):
        for t in range(1, n + 1):
            pairs = max(n - 1, 1)
            total += p * ((positives_before + 1) * pairs + (t - 1) * (p - 1)) * scale // (n * pairs * (before + t))
        before, positives_before = before + n, positives_before + p
    return Fraction(total, scale * max(positives_before, 1))


@pytest.mark.parametrize("share", [0.5, 0.01, 1e-5])
def test_small_ties_deep_in_a_long_ranking_keep_their_accuracy(share):
    """A million items in ties of 1..5, where differences of harmonic numbers would cancel."""
    rng = np.random.default_rng(7)
    sizes = rng.integers(1, 6, 340_000)
    sizes = sizes[: int(np.searchsorted(sizes.cumsum(), 1_000_000)) + 1]
    positives = rng.binomial(sizes, share)
    report = evaluate_counts(RetrievalCounts(sizes[None], positives[None]))
    exact = exact_expected(sizes.tolist(), positives.tolist())
    assert abs(Fraction(report.per_query.average_precision[0]) - exact) < Fraction(1, 10**15)
    assert abs(Fraction(report.per_query.average_precision[0]) / exact - 1) < Fraction(1, 10**13)


def test_a_late_small_tie_after_one_large_tie_keeps_its_accuracy():
    sizes, positives = [1_000_000, 3, 2], [0, 2, 1]
    report = evaluate_counts(RetrievalCounts(np.array([sizes]), np.array([positives])))
    exact = exact_expected(sizes, positives)
    assert abs(Fraction(report.per_query.average_precision[0]) / exact - 1) < Fraction(1, 10**14)


def test_ten_million_items_need_no_table():
    counts = RetrievalCounts(np.array([[4_000_000, 6_000_000]]), np.array([[1_000, 200_000]]))
    tracemalloc.start()
    report = evaluate_counts(counts, k=(1, 5_000_000, 10_000_000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20
    assert 0 < report.map_bounds.lo < report.map < report.map_bounds.hi < 1
