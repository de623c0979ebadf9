from __future__ import annotations

import numpy as np
import pytest

from hashkernels.centers import levenshtein_centers
from hashkernels.centers.bounds import tightest_distance

SIZES = [
    (m, n) for n in (*range(2, 34), 48, 63, 64, 65, 100, 128) for m in {2, 3, 4, n // 4, n // 2} if 2 <= m <= n // 2
]


@pytest.mark.parametrize(("classes", "bits"), SIZES)
def test_centers_are_optimal(classes: int, bits: int) -> None:
    book = levenshtein_centers(classes, bits)
    assert np.asarray(book).shape == (classes, bits)
    assert book.min_distance == tightest_distance(bits=bits, num_classes=classes, linear_program=False)


@pytest.mark.parametrize(
    ("classes", "bits", "distance"),
    [
        (10, 16, 8),
        (32, 16, 8),
        (32, 15, 7),
        (96, 48, 24),
        (10, 32, 17),
        (10, 48, 26),
        (10, 64, 35),
        (21, 64, 33),
        (2, 64, 64),
        (12, 11, 6),
        (20, 19, 10),
    ],
)
def test_known_optimal_distances(classes: int, bits: int, distance: int) -> None:
    assert levenshtein_centers(classes, bits).min_distance == distance


def test_bits_are_used() -> None:
    for bits in (16, 32, 48, 64):
        book = levenshtein_centers(10, bits)
        assert book.num_constant_columns == 0
        assert book.num_duplicate_columns <= 8


def test_construction_names_its_parts() -> None:
    assert levenshtein_centers(10, 48).construction == (
        "Levenshtein: 1 x (22, 12, 12) code of the Hadamard matrix of order 24 "
        "+ 1 x (26, 14, 14) code of the Hadamard matrix of order 28"
    )


def test_seed_decides() -> None:
    assert levenshtein_centers(10, 32, seed=1) == levenshtein_centers(10, 32, seed=1)
    assert levenshtein_centers(10, 32, seed=1) != levenshtein_centers(10, 32, seed=2)


@pytest.mark.parametrize(("classes", "bits"), [(21, 29), (100, 62), (33, 16)])
def test_too_many_classes_are_refused(classes: int, bits: int) -> None:
    with pytest.raises(ValueError, match=f"got num_classes={classes}, bits={bits}; best_centers takes any"):
        levenshtein_centers(classes, bits)
    with pytest.raises(ValueError, match="num_classes must be at least 2, got 1"):
        levenshtein_centers(1, bits)
