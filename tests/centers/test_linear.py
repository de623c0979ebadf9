from __future__ import annotations

import numpy as np
import pytest

from hashkernels.centers._linear import (
    adapt,
    cyclic_generator,
    dimension_for,
    extend,
    minimum_weight,
    puncture,
    shorten,
    span,
)
from hashkernels.centers.codebook import minimum_distance

HAMMING = cyclic_generator(0b1011, 7)
GOLAY = cyclic_generator(0b101011100011, 23)


@pytest.mark.parametrize(
    ("generator", "size", "weights"),
    [
        (HAMMING, 16, {0: 1, 3: 7, 4: 7, 7: 1}),
        (extend(HAMMING), 16, {0: 1, 4: 14, 8: 1}),
        (extend(GOLAY), 4096, {0: 1, 8: 759, 12: 2576, 16: 759, 24: 1}),
    ],
)
def test_classic_codes_have_their_weight_distributions(
    generator: np.ndarray, size: int, weights: dict[int, int]
) -> None:
    words = span(generator)
    assert len(np.unique(words, axis=0)) == size
    values, counts = np.unique(words.sum(axis=1), return_counts=True)
    assert dict(zip(values.tolist(), counts.tolist(), strict=True)) == weights


def test_minimum_weight_is_the_minimum_distance() -> None:
    words = span(HAMMING)
    assert minimum_weight(words) == minimum_distance(words) == 3


def test_shortening_keeps_the_words_that_vanish_in_a_column() -> None:
    words = span(GOLAY)
    for column in (0, 11, 22):
        expected = np.delete(words[words[:, column] == 0], column, axis=1)
        found = span(shorten(GOLAY, column))
        assert sorted(map(bytes, found)) == sorted(map(bytes, expected))
    with_zero_column = np.insert(HAMMING, 2, 0, axis=1)
    assert np.array_equal(shorten(with_zero_column, 2), HAMMING)


def test_puncturing_costs_at_most_a_bit_of_distance_each() -> None:
    words = span(extend(GOLAY))
    for count in range(5):
        left = puncture(words, count)
        assert left.shape == (4096, 24 - count)
        assert minimum_weight(left) == 8 - count
    unneeded = np.concatenate([span(HAMMING), np.zeros((16, 1), np.uint8)], axis=1)
    assert minimum_weight(puncture(unneeded, 1)) == 3


@pytest.mark.parametrize(("dimension", "bits"), [(12, 24), (12, 20), (8, 20), (7, 16), (4, 24), (2, 5)])
def test_adapted_codes_are_linear_and_large_enough(dimension: int, bits: int) -> None:
    words = adapt(extend(GOLAY), dimension, bits, np.random.default_rng(0))
    assert words.shape[1] == bits
    assert len(words) >= 2**dimension
    assert not words[0].any()
    assert len(np.unique(np.concatenate([words, words ^ words[1]]), axis=0)) == len(np.unique(words, axis=0))


def test_a_large_code_is_brought_down_to_a_subcode_of_full_rank() -> None:
    generator = np.eye(16, dtype=np.uint8)
    words = adapt(generator, 5, 16, np.random.default_rng(0))
    assert len(np.unique(words, axis=0)) == 4096


def test_dimension_is_the_least_that_suffices() -> None:
    assert [dimension_for(n) for n in (2, 3, 4, 5, 100, 128, 129, 1000, 1024)] == [1, 2, 2, 3, 7, 7, 8, 10, 10]
