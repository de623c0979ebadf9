from __future__ import annotations

import numpy as np
import pytest

from hashkernels.centers import greedy_centers, minimum_distance
from hashkernels.centers.bounds import gilbert_varshamov_distance
from hashkernels.centers.greedy import improve


@pytest.mark.parametrize(("classes", "bits"), [(4, 5), (16, 7), (10, 12), (100, 12), (1000, 12), (32, 5), (2, 1)])
def test_short_codes_reach_gilbert_and_varshamovs_bound(classes: int, bits: int) -> None:
    book = greedy_centers(classes, bits)
    assert np.asarray(book).shape == (classes, bits)
    assert gilbert_varshamov_distance(bits=bits, num_classes=classes) <= book.min_distance <= book.upper_bound


@pytest.mark.parametrize(("classes", "bits", "distance"), [(10, 48, 25), (21, 32, 15), (100, 32, 10), (600, 64, 20)])
def test_longer_codes_are_far_apart(classes: int, bits: int, distance: int) -> None:
    assert greedy_centers(classes, bits).min_distance >= distance


def test_local_search_improves_without_touching_its_input() -> None:
    rng = np.random.default_rng(0)
    words = (2 * rng.integers(0, 2, (20, 32)) - 1).astype(np.int8)
    before = words.copy()
    better = improve(words, 500, rng)
    assert np.array_equal(words, before)
    assert minimum_distance(better) > minimum_distance(words)
    assert np.array_equal(improve(words, 0, rng), words)


def test_local_search_keeps_its_distances_right() -> None:
    # one flip away from optimal: the search must find the flip, and count it correctly
    words = np.array([[1, 1, 1, 1], [-1, -1, 1, 1], [-1, 1, -1, 1], [1, 1, -1, 1]], np.int8)
    assert minimum_distance(words) == 1
    assert minimum_distance(improve(words, 20, np.random.default_rng(0))) == 2


def test_seed_decides() -> None:
    assert greedy_centers(20, 32, seed=1, steps=50) == greedy_centers(20, 32, seed=1, steps=50)
    assert greedy_centers(20, 32, seed=1, steps=50) != greedy_centers(20, 32, seed=2, steps=50)


def test_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match=r"num_classes must be at most 2\^bits = 16, .*, got 17"):
        greedy_centers(17, 4)
    with pytest.raises(ValueError, match=r"num_classes must be in 2\.\.16384, got 16385"):
        greedy_centers(16385, 64)
    with pytest.raises(ValueError, match="steps must be at least 0, got -1"):
        greedy_centers(10, 16, steps=-1)
