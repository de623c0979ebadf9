from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashkernels.centers import (
    Codebook,
    bch_centers,
    best_centers,
    greedy_centers,
    hadamard_centers,
    has_hadamard_matrix,
    levenshtein_centers,
    random_centers,
    reed_solomon_centers,
)
from hashkernels.centers.bounds import (
    elias_bassalygo_distance,
    griesmer_distance,
    hamming_bound_distance,
    johnson_distance,
    linear_programming_distance,
    plotkin_distance,
    singleton_distance,
    tightest_distance,
)

BOUNDS = [
    hamming_bound_distance,
    plotkin_distance,
    singleton_distance,
    johnson_distance,
    elias_bassalygo_distance,
    linear_programming_distance,
    tightest_distance,
]


@pytest.mark.parametrize(
    ("classes", "bits", "distance"),
    [
        (10, 16, 8),
        (10, 32, 17),
        (10, 48, 26),
        (10, 64, 35),
        (21, 16, 8),
        (21, 32, 16),
        (21, 48, 24),
        (21, 64, 33),
        (100, 12, 4),
        (100, 16, 6),
        (100, 24, 10),
        (100, 32, 14),
        (100, 64, 32),
        (1000, 16, 4),
        (1000, 24, 8),
        (1000, 32, 12),
        (1000, 48, 20),
        (1000, 64, 28),
    ],
)
def test_distance_is_proven_optimal_in_the_usual_settings(classes: int, bits: int, distance: int) -> None:
    start = time.monotonic()
    book = best_centers(classes, bits)
    assert time.monotonic() - start < 30
    assert np.asarray(book).shape == (classes, bits)
    assert book.min_distance == distance
    assert book.upper_bound == distance
    assert book.num_constant_columns == 0


def test_distance_is_within_one_of_the_bound_for_100_classes_and_48_bits() -> None:
    start = time.monotonic()
    book = best_centers(100, 48)
    assert time.monotonic() - start < 30
    assert (book.min_distance, book.upper_bound) == (22, 23)


@pytest.mark.parametrize(
    ("classes", "bits", "distance"),
    # A(8, 3) = A(9, 4) = 20, A(12, 5) = 32, A(13, 5) = 64: more words than any linear code; A(15, 5) = 256
    [(20, 8, 3), (20, 9, 4), (32, 12, 5), (64, 13, 5), (256, 15, 5), (256, 16, 6), (24, 12, 6), (16, 7, 3), (4, 5, 3)],
)
def test_known_optimal_codes_are_found(classes: int, bits: int, distance: int) -> None:
    assert best_centers(classes, bits).min_distance == distance


@pytest.mark.parametrize(("classes", "bits"), [(2, 1), (2, 2), (3, 2), (4, 2), (8, 3), (17, 5), (512, 9), (10, 333)])
def test_extreme_sizes(classes: int, bits: int) -> None:
    book = best_centers(classes, bits)
    assert np.asarray(book).shape == (classes, bits)
    assert book.min_distance == book.upper_bound


def test_time_limit_is_kept_and_still_gives_good_centers() -> None:
    start = time.monotonic()
    book = best_centers(200, 64, time_limit=0)
    assert time.monotonic() - start < 10
    assert book.min_distance >= 28


def test_seed_decides() -> None:
    assert best_centers(100, 24, seed=1) == best_centers(100, 24, seed=1)
    assert best_centers(100, 24, seed=1) != best_centers(100, 24, seed=2)


def test_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match=r"num_classes must be at most 2\^bits = 16, .*, got 17"):
        best_centers(17, 4)
    with pytest.raises(ValueError, match="time_limit must be at least 0, got -1"):
        best_centers(10, 16, time_limit=-1)
    with pytest.raises(ValueError, match="seed must be at least 0, got -3"):
        best_centers(10, 16, seed=-3)
    with pytest.raises(TypeError, match="num_classes must be an int, got float"):
        best_centers(10.0, 16)  # type: ignore[arg-type]


def made_books(classes: int, bits: int, seed: int) -> list[Codebook]:
    books = [
        bch_centers(classes, bits, seed=seed),
        reed_solomon_centers(classes, bits, seed=seed),
        greedy_centers(classes, bits, seed=seed, steps=20),
        best_centers(classes, bits, seed=seed, time_limit=0.05),
    ]
    if has_hadamard_matrix(bits) and classes <= 2 * bits:
        books.append(hadamard_centers(classes, bits, seed=seed))
    if classes <= bits // 2:
        books.append(levenshtein_centers(classes, bits, seed=seed))
    if bits >= 12:
        books.append(random_centers(classes, bits, seed=seed, max_draws=1))
    return books


@settings(max_examples=40, deadline=None)
@given(bits=st.integers(1, 40), classes=st.integers(2, 80), seed=st.integers(0, 9))
def test_no_codebook_beats_a_bound(bits: int, classes: int, seed: int) -> None:
    classes = min(classes, 2**bits)
    for book in made_books(classes, bits, seed):
        words = np.asarray(book).astype(int)
        pairs = (bits - words @ words.T) // 2
        assert book.min_distance == pairs[~np.eye(classes, dtype=bool)].min()
        assert (book.bits, book.num_classes) == (bits, classes)
        for bound in BOUNDS:
            assert book.min_distance <= bound(bits=bits, num_classes=classes)
        assert book.min_distance <= book.upper_bound
        if "linear code" in book.construction and classes & (classes - 1) == 0 and "coset" not in book.construction:
            assert book.min_distance <= griesmer_distance(bits=bits, num_classes=classes)
