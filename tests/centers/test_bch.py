from __future__ import annotations

import numpy as np
import pytest

from hashkernels.centers import bch_centers
from hashkernels.centers._linear import cyclic_generator, minimum_weight, span
from hashkernels.centers.bch import _generator_polynomials

# Lin and Costello, Error Control Coding, appendix C: (n, k), generator polynomial in octal
PUBLISHED = {
    4: ["23", "721", "2467"],
    5: ["45", "3551", "107657", "5423325", "313365047"],
    6: ["103", "12471", "1701317", "166623567", "1033500423", "157464165547"],
}


@pytest.mark.parametrize("degree", PUBLISHED)
def test_generator_polynomials_are_the_published_ones(degree: int) -> None:
    found = [format(polynomial, "o") for polynomial in _generator_polynomials(degree)]
    assert found[0] == "1"
    assert found[1 : 1 + len(PUBLISHED[degree])] == PUBLISHED[degree]


@pytest.mark.parametrize(
    ("length", "octal", "dimension", "distance"),
    [(15, "721", 7, 5), (15, "2467", 5, 7), (31, "5423325", 11, 11), (31, "313365047", 6, 15)],
)
def test_published_codes_have_their_distance(length: int, octal: str, dimension: int, distance: int) -> None:
    generator = cyclic_generator(int(octal, 8), length)
    assert generator.shape == (dimension, length)
    assert minimum_weight(span(generator)) == distance


@pytest.mark.parametrize(
    ("classes", "bits", "distance"),
    [
        (100, 16, 6),  # extended [16, 7, 6]
        (1000, 16, 4),
        (100, 32, 12),
        (1000, 32, 12),  # extended [32, 11, 12]
        (1000, 64, 28),  # extended [64, 10, 28]
        (100, 64, 32),
        (10, 31, 15),
        (10, 15, 7),
        (100, 48, 20),
        (10, 48, 24),
    ],
)
def test_centers_reach_the_distance_of_the_code(classes: int, bits: int, distance: int) -> None:
    book = bch_centers(classes, bits)
    assert np.asarray(book).shape == (classes, bits)
    assert distance <= book.min_distance <= book.upper_bound
    assert book.num_constant_columns == 0


@pytest.mark.parametrize(("classes", "distances"), [(10, (7, 16, 21)), (21, (4, 12, 19)), (100, (2, 9, 14))])
def test_centers_are_no_worse_than_those_of_the_literature(classes: int, distances: tuple[int, ...]) -> None:
    found = [bch_centers(classes, bits).min_distance for bits in (16, 32, 48)]
    assert all(ours >= theirs for ours, theirs in zip(found, distances, strict=True))


@pytest.mark.parametrize(("classes", "bits"), [(2, 1), (4, 2), (16, 4), (5, 3), (512, 9), (3, 1000)])
def test_extreme_sizes(classes: int, bits: int) -> None:
    book = bch_centers(classes, bits)
    assert np.asarray(book).shape == (classes, bits)
    assert book.min_distance >= 1


def test_seed_decides() -> None:
    assert bch_centers(100, 48, seed=1) == bch_centers(100, 48, seed=1)
    assert bch_centers(100, 48, seed=1) != bch_centers(100, 48, seed=2)


def test_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match=r"num_classes must be at most 2\^bits = 16, .*, got 17"):
        bch_centers(17, 4)
    with pytest.raises(ValueError, match=r"num_classes must be at least 2, got 1"):
        bch_centers(1, 64)
    with pytest.raises(ValueError, match=r"bits must be in 1\.\.4096, got 0"):
        bch_centers(10, 0)
