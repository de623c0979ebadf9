"""Curves along the ranking and within radii, against every order of ties and against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hashkernels as hk
from hashkernels.metrics import RetrievalCounts, radius_curve, rank_curve, within_radius

TIES = st.lists(st.integers(0, 4).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size))), min_size=2)


def counts_of(ties):
    total, relevant = zip(*ties, strict=True)
    return RetrievalCounts(np.array([total], dtype=np.int64), np.array([relevant], dtype=np.int64))


@given(TIES.filter(lambda ties: 0 < sum(size for size, _ in ties) < 10))
def test_rank_curve_is_mean_and_extremes_over_all_orders(enumeration, ties):
    ranking, counts = enumeration(ties), counts_of(ties)
    curve = rank_curve(counts, range(1, counts.num_database + 1))
    for place, k in enumerate(curve.ranks.tolist()):
        hits = ranking.hits(k)
        for name, exact in (("expected", hits.mean), ("least", hits.least), ("greatest", hits.greatest)):
            assert getattr(curve.precision, name)[place] == pytest.approx(float(exact / k), abs=1e-12)
            recall = exact / max(ranking.relevant, 1)
            assert getattr(curve.recall, name)[place] == pytest.approx(float(recall), abs=1e-12)


@given(TIES.filter(lambda ties: 0 < sum(size for size, _ in ties) < 9))
def test_map_within_a_radius_is_the_mean_over_all_orders_of_the_ball(enumeration, ties):
    counts = counts_of(ties)
    curve = radius_curve(counts)
    for radius in range(len(ties)):
        ball = enumeration(ties[: radius + 1])
        size = sum(number for number, _ in ties[: radius + 1])
        exact = ball.average_precision(size, "hits") if size else None
        for rule, name in (("expected", "mean"), ("pessimistic", "least"), ("optimistic", "greatest")):
            found = within_radius(counts, radius, ties=rule).map
            assert found == pytest.approx(0.0 if exact is None else float(getattr(exact, name)), abs=1e-12)
        assert curve.average_precision[radius] == within_radius(counts, radius).map


def test_policies_of_balls_against_a_plain_loop(problem):
    case = problem(12, 40, 60, num_classes=9)
    report = hk.evaluate(*case.arguments(), bits=12)
    for radius in (0, 1, 2, 4):
        inside = case.distances <= radius
        hits, items = (inside & case.relevance).sum(1), inside.sum(1)
        precision = hits / np.maximum(items, 1)
        found = report.within_radius(radius)
        assert found.precision == pytest.approx(precision.mean(), abs=1e-12)
        assert found.recall == pytest.approx((hits / np.maximum(case.relevance.sum(1), 1)).mean(), abs=1e-12)
        assert (found.num_empty, found.num_without_hit) == ((items == 0).sum(), (hits == 0).sum())
        skipped = report.within_radius(radius, empty_ball="skip")
        assert skipped.precision == pytest.approx(precision[items > 0].mean(), abs=1e-12)
        hit = report.within_radius(radius, zero_hit="skip")
        assert hit.map == pytest.approx(found.map * len(hits) / (hits > 0).sum(), abs=1e-12)
        assert hit.precision == found.precision


def test_radius_curve_has_the_report_s_means_and_their_standard_errors(problem):
    case = problem(12, 30, 80)
    report = hk.evaluate(*case.arguments(), bits=12)
    curve = report.radius_curve()
    np.testing.assert_array_equal(curve.precision, report.precision_within)
    np.testing.assert_array_equal(curve.recall, report.recall_within)
    inside = case.distances[None] <= np.arange(13)[:, None, None]
    precision = (inside & case.relevance).sum(2) / np.maximum(inside.sum(2), 1)
    np.testing.assert_allclose(curve.precision_error, precision.std(1, ddof=1) / np.sqrt(30), atol=1e-12)


def test_queries_without_anything_relevant_are_left_out_on_request(problem):
    case = problem(8, 12, 40)
    labels = case.query_labels.copy()
    labels[:5] = 99
    report = hk.evaluate(
        case.query_codes, case.database_codes, labels, case.database_labels, zero_hit="skip", k=(7, 40)
    )
    curve = report.rank_curve((7, 40))
    assert curve.precision.expected.tolist() == [report.precision_at[7], report.precision_at[40]]
    assert curve.recall.expected.tolist() == [report.recall_at[7], report.recall_at[40]]
    np.testing.assert_array_equal(report.radius_curve().precision, report.precision_within)


def test_default_ranks_span_the_ranking(problem):
    ranks = hk.evaluate(*problem(8, 3, 500).arguments()).rank_curve().ranks
    assert (ranks[0], ranks[-1]) == (1, 500)
    assert (np.diff(ranks) > 0).all()


def test_arguments_are_checked():
    counts = counts_of([(2, 0), (1, 0)])
    with pytest.raises(ValueError, match=r"k must be in 1\.\.3, got 4"):
        rank_curve(counts, [4])
    with pytest.raises(TypeError, match="ranks must be a sequence of cutoffs, got int"):
        rank_curve(counts, 5)
    with pytest.raises(ValueError, match=r"radius must be in 0\.\.1, got 2"):
        within_radius(counts, 2)
    with pytest.raises(ValueError, match="empty_ball must be one of zero, skip, got 'drop'"):
        within_radius(counts, 0, empty_ball="drop")
    with pytest.raises(ValueError, match="unanswerable must be one of"):
        radius_curve(counts, unanswerable="error")
    with pytest.raises(ValueError, match="counts must hold a query with something relevant in the database"):
        rank_curve(counts, unanswerable="skip")
    with pytest.raises(ValueError, match="within radius 0"):
        within_radius(counts, 0, zero_hit="skip")
