"""Least average precision against every order there is."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest

from hashkernels.metrics import (
    RetrievalCounts,
    average_precision_bound,
    lowest_average_precision,
    mis_ranks,
    rank_extremes,
)


def every_order(num_items):
    for num_relevant in range(1, num_items + 1):
        yield from itertools.combinations(range(1, num_items + 1), num_relevant)


def average_precision(ranks):
    return sum(Fraction(j, rank) for j, rank in enumerate(ranks, 1)) / len(ranks)


def test_lowest_average_precision_is_the_least_over_all_orders_with_these_ranks():
    least: dict[tuple[int, int, int], Fraction] = {}
    for num_items in range(1, 10):
        for ranks in every_order(num_items):
            others = [rank for rank in range(1, num_items + 1) if rank not in ranks]
            first = others[0] if others else len(ranks) + 1
            key = (first, ranks[-1], len(ranks))
            least[key] = min(least.get(key, Fraction(2)), average_precision(ranks))
    first, last, relevant = np.array(list(least)).T
    found = lowest_average_precision(first, last, relevant)
    np.testing.assert_allclose(found, [float(v) for v in least.values()], rtol=1e-14)


def test_bound_by_the_greatest_mis_rank_is_attained_and_never_exceeded():
    least: dict[tuple[int, int], Fraction] = {}
    for ranks in every_order(9):
        key = (ranks[-1] - len(ranks), len(ranks))
        least[key] = min(least.get(key, Fraction(2)), average_precision(ranks))
    mis_rank, relevant = np.array(list(least)).T
    np.testing.assert_allclose(
        average_precision_bound(mis_rank, relevant), [float(v) for v in least.values()], rtol=1e-14
    )


def test_example_of_the_paper():
    # Fig. 4 with r_f = 2, r_t = 7, R = 4. The form printed in the paper gives 2.27 here, which no precision can be.
    assert lowest_average_precision(2, 7, 4) == pytest.approx((1 + 2 / 5 + 3 / 6 + 4 / 7) / 4)
    assert isinstance(float(lowest_average_precision(2, 7, 4)), float)
    assert lowest_average_precision(5, 4, 4) == 1
    assert lowest_average_precision(9, 4, 4) == 1


def test_arrays_broadcast_and_large_ranks_keep_their_accuracy():
    found = lowest_average_precision(np.array([[1], [10]]), 1_000_000, np.array([100, 1000, 10_000]))
    assert found.shape == (2, 3)
    for (i, j), value in np.ndenumerate(found):
        first, relevant = (1, 10)[i], (100, 1000, 10_000)[j]
        ranks = np.arange(first, relevant + 1)
        expected = (first - 1 + (ranks / (1_000_000 - relevant + ranks)).sum()) / relevant
        assert value == pytest.approx(expected, rel=1e-12)
    assert average_precision_bound(np.zeros((2, 0), int), 3).shape == (2, 0)


def test_bounds_of_perfect_rankings_are_one():
    relevant = np.append(np.arange(1, 400), 2**50)
    for bound in (average_precision_bound(0, relevant), lowest_average_precision(2**62, relevant, relevant)):
        np.testing.assert_array_equal(bound, 1.0)


@pytest.mark.parametrize("seed", range(5))
def test_rank_extremes_of_counts_equal_the_sorted_lists(seed):
    rng = np.random.default_rng(seed)
    distances = rng.integers(0, 6, (12, 9))
    relevance = rng.random((12, 9)) < rng.random((12, 1))
    relevance[0], relevance[1] = True, False
    total = np.stack([(distances == d).sum(1) for d in range(7)], 1)
    relevant = np.stack([((distances == d) & relevance).sum(1) for d in range(7)], 1)
    counts = RetrievalCounts(total, relevant)
    for ties, sign in (("pessimistic", 1), ("optimistic", -1)):
        found = rank_extremes(counts, ties=ties)
        for q in range(12):
            order = np.lexsort((sign * relevance[q], distances[q]))
            hit = relevance[q][order]
            assert found.first_false_positive[q] == (np.flatnonzero(~hit)[0] + 1 if not hit.all() else 10)
            assert found.last_true_positive[q] == (np.flatnonzero(hit)[-1] + 1 if hit.any() else 0)

    some = relevant.sum(1) > 0
    worst = rank_extremes(counts)
    least = lowest_average_precision(
        worst.first_false_positive[some], worst.last_true_positive[some], relevant.sum(1)[some]
    )
    bound = mis_ranks(counts, ties="pessimistic").average_precision_bound[some]
    actual = []
    for q in np.flatnonzero(some):
        hit = relevance[q][np.lexsort((relevance[q], distances[q]))]
        actual.append(float(average_precision((np.flatnonzero(hit) + 1).tolist())))
    assert (least <= np.array(actual) + 1e-12).all()
    assert (bound <= least + 1e-12).all()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0, 3, 2), ValueError, "first_false_positive must be in 1..9223372036854775807, got 0"),
        ((1, 3, 0), ValueError, "num_relevant must be in 1..1125899906842624, got 0"),
        ((1, 3, 4), ValueError, "last_true_positive must be at least num_relevant"),
        ((1, 4, 4), ValueError, "first_false_positive must be beyond num_relevant exactly where"),
        ((5, 6, 4), ValueError, "first_false_positive must be beyond num_relevant exactly where"),
        ((1.0, 6, 4), TypeError, "first_false_positive must be integers, got float64"),
    ],
)
def test_impossible_ranks_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        lowest_average_precision(*arguments)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"num_relevant must be in 1..1125899906842624, got 9223372036854775808"):
        average_precision_bound(1, np.uint64(2**63))
    with pytest.raises(ValueError, match=r"max_mis_rank must be in 0..1125899906842624, got -1"):
        average_precision_bound(-1, 3)
    counts = RetrievalCounts(np.array([[1, 1]]), np.array([[1, 0]]))
    with pytest.raises(ValueError, match="ties must be one of optimistic, pessimistic, got 'expected'"):
        rank_extremes(counts, ties="expected")
    with pytest.raises(TypeError, match="counts must be RetrievalCounts, got ndarray"):
        rank_extremes(np.array([[1, 1]]))
