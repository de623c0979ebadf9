from __future__ import annotations

import numpy as np
import pytest

from hashkernels.centers import random_centers


@pytest.mark.parametrize(("classes", "bits"), [(10, 16), (100, 64), (1000, 48), (6, 4), (10, 5), (2, 1)])
def test_centers_are_distinct_and_balanced(classes: int, bits: int) -> None:
    if bits == 1:
        with pytest.raises(ValueError, match=r"num_classes must be at most 1, the number of balanced codes of 1 bit,"):
            random_centers(classes, bits)
        return
    book = random_centers(classes, bits)
    words = np.asarray(book)
    assert words.shape == (classes, bits)
    assert ((words == -1).sum(axis=1) == bits // 2).all()
    assert book.min_distance >= 1
    assert len(np.unique(words, axis=0)) == classes


def test_seed_decides() -> None:
    assert random_centers(20, 32, seed=1) == random_centers(20, 32, seed=1)
    assert random_centers(20, 32, seed=1) != random_centers(20, 32, seed=2)


def test_more_draws_never_lose() -> None:
    distances = [random_centers(20, 32, max_draws=draws).min_distance for draws in (1, 5, 25, 125)]
    assert distances == sorted(distances)


def test_asked_distance_is_reached_or_refused() -> None:
    assert random_centers(10, 64, min_distance=20).min_distance >= 20
    with pytest.raises(
        ValueError, match=r"min_distance must be one that 3 random sets .* \(the best has \d+\), got 60"
    ):
        random_centers(10, 64, min_distance=60, max_draws=3)


def test_arguments_are_checked() -> None:
    with pytest.raises(
        ValueError, match=r"num_classes must be at most 6, the number of balanced codes of 4 bits, got 7"
    ):
        random_centers(7, 4)
    with pytest.raises(ValueError, match=r"min_distance must be in 1\.\.16, got 17"):
        random_centers(10, 16, min_distance=17)
    with pytest.raises(ValueError, match="max_draws must be at least 1, got 0"):
        random_centers(10, 16, max_draws=0)
    with pytest.raises(ValueError, match="num_classes must be at least 2, got 0"):
        random_centers(0, 16)
