from __future__ import annotations

import numpy as np
import pytest

from hashkernels.centers import reed_solomon_centers
from hashkernels.centers._linear import span
from hashkernels.centers.reed_solomon import _binary_generator, _powers


@pytest.mark.parametrize(("symbol_bits", "length", "symbols"), [(3, 7, 3), (4, 15, 2), (4, 10, 3), (2, 3, 2)])
@pytest.mark.parametrize("first", [0, 1, 2])
def test_codes_are_maximum_distance_separable(symbol_bits: int, length: int, symbols: int, first: int) -> None:
    words = span(_binary_generator(_powers(symbol_bits), length, symbols, first))
    in_symbols = words.reshape(len(words), length, symbol_bits).any(axis=2)
    assert len(words) == 2 ** (symbol_bits * symbols)
    assert in_symbols[1:].sum(axis=1).min() == length - symbols + 1


@pytest.mark.parametrize(("classes", "distances"), [(10, (6, 14, 21)), (21, (5, 12, 19)), (100, (4, 10, 16))])
def test_centers_are_no_worse_than_those_of_the_literature(classes: int, distances: tuple[int, ...]) -> None:
    for bits, distance in zip((16, 32, 48), distances, strict=True):
        book = reed_solomon_centers(classes, bits)
        assert np.asarray(book).shape == (classes, bits)
        assert distance <= book.min_distance <= book.upper_bound
        assert book.num_constant_columns == 0


@pytest.mark.parametrize(("classes", "bits"), [(2, 1), (4, 2), (16, 4), (5, 3), (512, 9), (3, 1000), (1000, 37)])
def test_extreme_sizes(classes: int, bits: int) -> None:
    book = reed_solomon_centers(classes, bits)
    assert np.asarray(book).shape == (classes, bits)
    assert book.min_distance >= 1


def test_seed_decides() -> None:
    assert reed_solomon_centers(20, 32, seed=1) == reed_solomon_centers(20, 32, seed=1)
    assert reed_solomon_centers(20, 32, seed=1) != reed_solomon_centers(20, 32, seed=2)


def test_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match=r"num_classes must be at most 2\^bits = 16, .*, got 17"):
        reed_solomon_centers(17, 4)
    with pytest.raises(TypeError, match="bits must be an int, got float"):
        reed_solomon_centers(10, 32.0)  # type: ignore[arg-type]
