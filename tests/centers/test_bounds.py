"""Bounds against the paper's tables, the usual reference values and brute force."""

from __future__ import annotations

from itertools import combinations, product
from math import comb

import pytest

from hashkernels.centers import bounds
from hashkernels.centers.bounds import (
    ball_volume,
    ecm_distance,
    ecm_margin,
    gilbert_varshamov_distance,
    griesmer_distance,
    hamming_bound_distance,
    plotkin_distance,
    plotkin_margin,
    singleton_distance,
)

# Xu, Wang and Kitani, tables 1 to 3: classes, bits, printed alpha_neg
PAPER_MARGINS = [
    (10, 12, -6),
    (10, 24, -14),
    (10, 32, -18),
    (10, 48, -34),
    (10, 16, -6),
    (10, 24, -14),
    (10, 32, -18),
    (10, 48, -34),
    (100, 16, 2),
    (100, 32, -6),
    (100, 48, -18),
    (100, 64, -30),
]
OTHER_MARGINS = [
    (10, 64, -46),
    (21, 12, -2),
    (21, 16, -6),
    (21, 32, -14),
    (21, 48, -26),
    (21, 64, -38),
    (80, 16, -2),
    (80, 32, -10),
    (80, 64, -30),
    (100, 12, 2),
    (100, 24, -2),
    (100, 128, -78),
    (1000, 16, 6),
    (1000, 32, 2),
    (1000, 64, -18),
]


@pytest.mark.parametrize(("classes", "bits", "margin"), PAPER_MARGINS + OTHER_MARGINS)
def test_ecm_margin_is_the_printed_one(classes: int, bits: int, margin: int) -> None:
    assert ecm_margin(bits, classes) == margin
    assert type(ecm_margin(bits, classes)) is int


@pytest.mark.parametrize(("classes", "bits"), [(21, 10), (38, 14), (100, 14), (100, 18), (200, 22), (1000, 30)])
def test_ecm_margin_is_zero_where_the_loss_would_divide_by_it(classes: int, bits: int) -> None:
    assert ecm_margin(bits, classes) == 0


@pytest.mark.parametrize(("classes", "bits"), [(m, n) for m in (2, 3, 10, 100, 1000) for n in range(10, 65, 3)])
def test_ecm_distance_is_defined_by_the_two_inequalities_of_the_paper(classes: int, bits: int) -> None:
    def fits(distance: int) -> bool:
        return classes * sum(comb(bits, i) for i in range((distance - 1) // 2 + 1)) <= 2**bits

    distance = ecm_distance(bits=bits, num_classes=classes)
    assert fits(distance - 1)
    assert not fits(distance)
    if distance <= bits:
        assert hamming_bound_distance(bits=bits, num_classes=classes) == distance - 1


@pytest.mark.parametrize(
    ("classes", "bits", "hamming", "plotkin"),
    [
        (10, 12, 8, 6),
        (10, 24, 18, 13),
        (10, 32, 24, 17),
        (10, 48, 40, 26),
        (10, 16, 10, 8),
        (100, 16, 6, 8),
        (100, 32, 18, 16),
        (100, 48, 32, 24),
        (100, 64, 46, 32),
        (21, 48, 36, 25),
        (10, 64, 54, 35),
    ],
)
def test_upper_bounds_of_the_usual_settings(classes: int, bits: int, hamming: int, plotkin: int) -> None:
    assert hamming_bound_distance(bits=bits, num_classes=classes) == hamming
    assert plotkin_distance(bits=bits, num_classes=classes) == plotkin


@pytest.mark.parametrize(
    ("classes", "bits", "distance"),
    [
        (10, 16, 5),
        (10, 32, 12),
        (10, 48, 20),
        (10, 64, 27),
        (21, 48, 18),
        (100, 16, 3),
        (100, 32, 9),
        (100, 48, 16),
        (100, 64, 23),
    ],
)
def test_gilbert_varshamov_of_the_usual_settings(classes: int, bits: int, distance: int) -> None:
    assert gilbert_varshamov_distance(bits=bits, num_classes=classes) == distance


@pytest.mark.parametrize("classes", range(2, 40))
def test_plotkin_margin_is_the_margin_of_the_average_distance(classes: int) -> None:
    assert plotkin_margin(bits=48, num_classes=classes) == pytest.approx(
        -48 / (classes - 1 if classes % 2 == 0 else classes), rel=1e-15
    )
    assert plotkin_distance(bits=48, num_classes=classes) == int(
        (48 - plotkin_margin(bits=48, num_classes=classes)) / 2 + 1e-9
    )
    assert type(plotkin_margin(bits=48, num_classes=classes)) is float


def most_words(length: int, distance: int, alphabet: int) -> int:
    """Size of the largest code, by exhaustive clique search."""
    words = list(product(range(alphabet), repeat=length))
    near = [w for w in words if sum(s != 0 for s in w) >= distance]  # the zero word may be taken to be in the code

    def grow(size: int, left: list[tuple[int, ...]]) -> int:
        best = size
        while left and size + len(left) > best:
            word, left = left[0], left[1:]
            rest = [w for w in left if sum(a != b for a, b in zip(word, w, strict=True)) >= distance]
            best = max(best, grow(size + 1, rest))
        return best

    return grow(1, near)


@pytest.mark.parametrize(
    ("length", "distance", "alphabet", "size"),
    [(n, d, 2, None) for n in range(1, 6) for d in range(1, n + 1)]
    + [(n, d, 3, None) for n in range(1, 4) for d in range(1, n + 1)]
    + [(3, 3, 4, 4), (5, 3, 2, 4), (6, 4, 2, 4)],
)
def test_bounds_bracket_the_largest_codes(length: int, distance: int, alphabet: int, size: int | None) -> None:
    found = most_words(length, distance, alphabet)
    assert size in (None, found)
    for classes in range(2, found + 1):
        for bound in (hamming_bound_distance, plotkin_distance, singleton_distance):
            assert bound(bits=length, num_classes=classes, alphabet=alphabet) >= distance
        assert ecm_distance(bits=length, num_classes=classes, alphabet=alphabet) > distance
    if found < alphabet**length:
        assert gilbert_varshamov_distance(bits=length, num_classes=found + 1, alphabet=alphabet) < distance


@pytest.mark.parametrize(
    ("bits", "dimension", "alphabet", "distance"),
    [(7, 4, 2, 3), (23, 12, 2, 7), (11, 6, 3, 5), (31, 5, 2, 16), (48, 7, 2, 23), (8, 3, 8, 6)],
)
def test_griesmer_bound(bits: int, dimension: int, alphabet: int, distance: int) -> None:
    assert griesmer_distance(bits=bits, num_classes=alphabet**dimension, alphabet=alphabet) >= distance
    assert sum(-(-distance // alphabet**i) for i in range(dimension)) <= bits


def test_griesmer_bound_is_met_by_simplex_codes_and_only_holds_for_linear_codes() -> None:
    for m in range(2, 9):
        assert griesmer_distance(bits=2**m - 1, num_classes=2**m) == 2 ** (m - 1)
    assert griesmer_distance(bits=12, num_classes=24) == 5  # 24 rows of [H; -H] of order 12, not linear, are 6 apart


def test_perfect_codes_meet_the_hamming_bound() -> None:
    # balls of radius one fill the space, as the definition counts d = 4 too
    assert hamming_bound_distance(bits=7, num_classes=2**4) == 4
    assert ball_volume(23, 3) * 2**12 == 2**23
    assert ball_volume(11, 2, alphabet=3) * 3**6 == 3**11


def test_too_many_classes_for_distinct_codes_give_zero() -> None:
    assert hamming_bound_distance(bits=3, num_classes=9) == 0
    assert singleton_distance(bits=3, num_classes=9) == 0
    assert gilbert_varshamov_distance(bits=3, num_classes=9) == 0


@pytest.mark.parametrize(
    "bound",
    [
        ecm_distance,
        ecm_margin,
        gilbert_varshamov_distance,
        griesmer_distance,
        hamming_bound_distance,
        plotkin_distance,
        plotkin_margin,
        singleton_distance,
    ],
)
def test_bad_arguments_are_named(bound: object) -> None:
    assert callable(bound)
    with pytest.raises(ValueError, match=r"bits must be in 1\.\.4096, got 0"):
        bound(bits=0, num_classes=10)
    with pytest.raises(ValueError, match=r"num_classes must be at least 2, got 1"):
        bound(bits=16, num_classes=1)
    with pytest.raises(TypeError, match="bits must be an int, got float"):
        bound(bits=16.0, num_classes=10)
    with pytest.raises(TypeError, match="num_classes must be an int, got bool"):
        bound(bits=16, num_classes=True)


def test_sizes_of_distances_are_given_by_name_alone() -> None:
    for name in bounds.__all__:
        if name not in ("ball_volume", "ecm_margin"):
            with pytest.raises(TypeError, match="positional"):
                getattr(bounds, name)(16, 10)


def test_alphabet_and_radius_are_checked() -> None:
    with pytest.raises(ValueError, match="alphabet must be at least 2, got 1"):
        hamming_bound_distance(bits=16, num_classes=10, alphabet=1)
    with pytest.raises(ValueError, match="radius must be at least 0, got -1"):
        ball_volume(16, -1)


def test_distances_of_small_spaces_by_hand() -> None:
    assert ball_volume(3, 5) == 8
    best = max(
        min(sum(a != b for a, b in zip(x, y, strict=True)) for x, y in combinations(code, 2))
        for code in combinations(product((0, 1), repeat=4), 3)
    )
    assert gilbert_varshamov_distance(bits=4, num_classes=3) <= best <= plotkin_distance(bits=4, num_classes=3)
