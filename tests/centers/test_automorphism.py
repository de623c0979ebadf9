from __future__ import annotations

import numpy as np
import pytest

from hashkernels.centers._automorphism import random_problem, search_words
from hashkernels.centers._cosets import coset_union
from hashkernels.centers._linear import minimum_weight, span


@pytest.mark.parametrize("dimension", [3, 4, 7, 10])
@pytest.mark.parametrize("seed", range(3))
def test_orbit_weights_are_those_of_the_words(dimension: int, seed: int) -> None:
    problem = random_problem(dimension, np.random.default_rng(seed))
    points = np.concatenate(problem.orbits)
    assert sorted(points.tolist()) == list(range(1, 2**dimension))
    assert problem.sizes.tolist() == [len(orbit) for orbit in problem.orbits]
    assert all(problem.order % size == 0 for size in problem.sizes)
    assert problem.multiplicities.sum() == 2**dimension - 1
    for column, orbit in zip(problem.weights.T, problem.orbits, strict=True):
        words = span((orbit[None, :] >> np.arange(dimension)[:, None] & 1).astype(np.uint8))
        weights, counts = np.unique(words[1:].sum(axis=1), return_counts=True)
        found = {int(w): int(problem.multiplicities[column == w].sum()) for w in np.unique(column)}
        assert found == dict(zip(weights.tolist(), counts.tolist(), strict=True))


@pytest.mark.parametrize(("dimension", "bits"), [(3, 7), (3, 49), (5, 20), (7, 48), (8, 33), (10, 64)])
def test_searched_words_are_linear_codes_of_the_size_asked(dimension: int, bits: int) -> None:
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(10):
        words = search_words(random_problem(dimension, rng), dimension, bits, rng)
        if words is None:
            continue
        found += 1
        assert words.shape == (2**dimension, bits)
        assert np.array_equal(words[3], words[1] ^ words[2])
        assert minimum_weight(words) == min(int((words[1:] ^ word).sum(axis=1).min()) for word in words[:1])
    assert found


def test_whole_copies_of_the_simplex_code_are_used_where_they_fit() -> None:
    rng = np.random.default_rng(0)
    words = search_words(random_problem(4, rng), 4, 30, rng)
    assert words is not None
    assert set(words[1:].sum(axis=1).tolist()) == {16}


def test_unions_of_cosets_have_their_distance() -> None:
    rng = np.random.default_rng(0)
    found = [words for _ in range(60) if (words := coset_union(20, 9, 4, rng)) is not None]
    assert found
    for words in found:
        assert len(words) >= 20
        pairs = np.bitwise_count(words[:, None] ^ words[None, :])
        assert pairs[~np.eye(len(words), dtype=bool)].min() >= 4


def test_impossible_unions_of_cosets_are_not_found() -> None:
    rng = np.random.default_rng(0)
    assert all(coset_union(21, 9, 4, rng) is None for _ in range(20))  # A(9, 4) = 20
