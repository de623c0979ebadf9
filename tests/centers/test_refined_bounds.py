"""Johnson's, Elias and Bassalygo's and Delsarte's bounds against published values of A(n, d) and brute force."""

from __future__ import annotations

import sys
from itertools import combinations
from math import comb

import pytest

from hashkernels.centers._delsarte import linear_programming_size
from hashkernels.centers._sizes import (
    constant_weight_size,
    elias_bassalygo_size,
    even_case,
    johnson_size,
    plotkin_size,
)
from hashkernels.centers.bounds import (
    elias_bassalygo_distance,
    gilbert_varshamov_distance,
    hamming_bound_distance,
    johnson_distance,
    linear_programming_distance,
    plotkin_distance,
    singleton_distance,
    tightest_distance,
)

# The table of A(n, d) in MacWilliams and Sloane, appendix A, and in Brouwer's tables
LARGEST = {
    (5, 3): 4,
    (6, 4): 4,
    (6, 3): 8,
    (7, 3): 16,
    (8, 3): 20,
    (8, 4): 16,
    (9, 4): 20,
    (10, 4): 40,
    (11, 4): 72,
    (12, 4): 144,
    (13, 4): 256,
    (16, 4): 2048,
    (12, 6): 24,
    (13, 6): 32,
    (14, 6): 64,
    (15, 6): 128,
    (16, 6): 256,
    (16, 8): 32,
    (17, 8): 36,
    (18, 8): 64,
    (20, 8): 256,
    (23, 7): 4096,
    (24, 8): 4096,
    (24, 10): 136,
    (24, 12): 48,
    (25, 12): 52,
    (28, 14): 56,
}
SIZES = [plotkin_size, johnson_size, elias_bassalygo_size, linear_programming_size]


@pytest.mark.parametrize(("bits", "distance"), LARGEST)
@pytest.mark.parametrize("size", SIZES)
def test_size_bounds_allow_the_largest_codes(size: object, bits: int, distance: int) -> None:
    assert callable(size)
    assert size(*even_case(bits, distance)) >= LARGEST[bits, distance]


@pytest.mark.parametrize(
    ("size", "bits", "distance", "published"),
    [
        (plotkin_size, 12, 6, 24),
        (plotkin_size, 20, 12, 6),
        (johnson_size, 24, 8, 4096),  # the Golay code is perfect
        (johnson_size, 16, 6, 256),  # the Nordstrom-Robinson code is nearly perfect
        (linear_programming_size, 13, 6, 40),
        (linear_programming_size, 16, 6, 256),
        (linear_programming_size, 17, 8, 50),
        (linear_programming_size, 24, 8, 4096),
    ],
)
def test_size_bounds_have_their_published_values(size: object, bits: int, distance: int, published: int) -> None:
    assert callable(size)
    assert size(bits, distance) == published


@pytest.mark.parametrize(("bits", "distance"), LARGEST)
def test_distance_bounds_allow_the_distance_of_the_largest_codes(bits: int, distance: int) -> None:
    words = LARGEST[bits, distance]
    for bound in (johnson_distance, elias_bassalygo_distance, linear_programming_distance, tightest_distance):
        assert bound(bits=bits, num_classes=words) >= distance
    assert gilbert_varshamov_distance(bits=bits, num_classes=words + 1) < distance


@pytest.mark.parametrize(
    ("classes", "bits", "distance"),
    [(10, 16, 8), (10, 64, 35), (21, 48, 24), (100, 16, 6), (100, 32, 14), (1000, 32, 12), (1000, 48, 20)],
)
def test_tightest_bound_is_sharp_where_codes_are_known_that_meet_it(classes: int, bits: int, distance: int) -> None:
    assert tightest_distance(bits=bits, num_classes=classes) == distance


@pytest.mark.parametrize("bits", [7, 12, 16, 33, 48, 64, 100])
@pytest.mark.parametrize("classes", [2, 3, 10, 100, 127])
def test_tightest_bound_is_the_least(bits: int, classes: int) -> None:
    tightest = tightest_distance(bits=bits, num_classes=classes)
    for bound in (
        hamming_bound_distance,
        plotkin_distance,
        singleton_distance,
        johnson_distance,
        elias_bassalygo_distance,
        linear_programming_distance,
    ):
        assert tightest <= bound(bits=bits, num_classes=classes)
    assert (
        gilbert_varshamov_distance(bits=bits, num_classes=classes)
        <= tightest
        <= tightest_distance(bits=bits, num_classes=classes, linear_program=False)
    )


def test_bounds_of_two_words_and_of_too_many() -> None:
    for bits in (1, 2, 3, 64, 4096):
        assert tightest_distance(bits=bits, num_classes=2) == bits
    assert tightest_distance(bits=3, num_classes=9) == 0
    assert tightest_distance(bits=3, num_classes=8) == 1


@pytest.mark.parametrize(("bits", "weight"), [(n, w) for n in range(4, 8) for w in range(n + 1)])
@pytest.mark.parametrize("distance", [2, 4, 6])
def test_constant_weight_bounds_hold_by_brute_force(bits: int, weight: int, distance: int) -> None:
    words = [sum(1 << i for i in chosen) for chosen in combinations(range(bits), weight)]

    def grow(size: int, left: list[int]) -> int:
        best = size
        while left and size + len(left) > best:
            word, left = left[0], left[1:]
            best = max(best, grow(size + 1, [w for w in left if (w ^ word).bit_count() >= distance]))
        return best

    # the first word may be taken to be in the code, and all words are at distance 2
    far = [w for w in words if (w ^ words[0]).bit_count() >= distance]
    most = comb(bits, weight) if distance == 2 else grow(1, far)
    assert constant_weight_size(bits, distance, weight) >= most


def test_missing_scipy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(ImportError, match=r"scipy is missing: pip install 'hashkernels\[centers\]'"):
        linear_programming_distance(bits=91, num_classes=123)
    assert tightest_distance(bits=91, num_classes=123, linear_program=False) > 0


@pytest.mark.parametrize(("bound", "most"), [(johnson_distance, 512), (elias_bassalygo_distance, 512)])
def test_lengths_beyond_reach_are_refused(bound: object, most: int) -> None:
    assert callable(bound)
    with pytest.raises(ValueError, match=rf"bits must be in 1\.\.{most}, got {most + 1}"):
        bound(bits=most + 1, num_classes=10)
    with pytest.raises(ValueError, match=r"bits must be in 1\.\.256, got 257"):
        linear_programming_distance(bits=257, num_classes=10)
    with pytest.raises(ValueError, match="num_classes must be at least 2, got 1"):
        bound(bits=16, num_classes=1)
