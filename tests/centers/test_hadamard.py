from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg

from hashkernels.centers import hadamard_centers, hadamard_matrix, has_hadamard_matrix

NOT_BUILT = {92, 116, 156, 172, 184, 188, 232, 236}  # orders up to 256 beyond Sylvester, Paley and doubling
ORDERS = [1, 2, *(n for n in range(4, 257, 4) if n not in NOT_BUILT)]


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_is_a_hadamard_matrix(order: int) -> None:
    assert has_hadamard_matrix(order)
    matrix = hadamard_matrix(order)
    assert matrix.dtype == np.int8
    assert np.array_equal(np.abs(matrix), np.ones((order, order)))
    assert np.array_equal(matrix.astype(int) @ matrix.T.astype(int), order * np.eye(order, dtype=int))


def test_no_other_order_is_claimed() -> None:
    assert [n for n in range(1, 257) if has_hadamard_matrix(n)] == ORDERS


def test_powers_of_two_are_sylvester() -> None:
    assert np.array_equal(hadamard_matrix(64), scipy.linalg.hadamard(64))


@pytest.mark.parametrize("order", [3, 6, 92, 260])
def test_other_orders_are_refused(order: int) -> None:
    with pytest.raises(ValueError, match=f"order must be one that .* reach, got {order}"):
        hadamard_matrix(order)


@pytest.mark.parametrize(
    ("classes", "bits"), [(10, 16), (21, 16), (32, 16), (10, 48), (21, 48), (96, 48), (100, 64), (128, 64), (200, 100)]
)
@pytest.mark.parametrize("seed", [0, 1])
def test_centers_are_half_the_bits_apart_and_use_every_bit(classes: int, bits: int, seed: int) -> None:
    book = hadamard_centers(classes, bits, seed=seed)
    assert np.asarray(book).shape == (classes, bits)
    assert book.min_distance == bits // 2
    assert book.num_constant_columns == 0
    if classes >= 16:
        assert book.num_duplicate_columns == 0


def test_first_rows_would_waste_bits() -> None:
    first = hadamard_matrix(64)[:10]
    assert ((first == first[0]).all(axis=0)).sum() == 4
    assert len(np.unique(first, axis=1).T) == 16
    book = hadamard_centers(10, 64)
    assert book.num_constant_columns == 0
    assert len(np.unique(np.asarray(book), axis=1).T) == 64


def test_seed_decides() -> None:
    assert hadamard_centers(21, 32, seed=3) == hadamard_centers(21, 32, seed=3)
    assert hadamard_centers(21, 32, seed=3) != hadamard_centers(21, 32, seed=4)


def test_smallest_orders() -> None:
    assert hadamard_centers(2, 1).min_distance == 1
    assert hadamard_centers(4, 2).min_distance == 1
    assert hadamard_centers(2, 2).min_distance == 1


@pytest.mark.parametrize(("classes", "bits"), [(10, 17), (33, 16), (10, 92)])
def test_sizes_without_centers_are_refused(classes: int, bits: int) -> None:
    with pytest.raises(ValueError, match=f"got num_classes={classes}, bits={bits}; best_centers takes any"):
        hadamard_centers(classes, bits)


def test_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match="num_classes must be at least 2, got 1"):
        hadamard_centers(1, 16)
    with pytest.raises(ValueError, match="seed must be at least 0, got -1"):
        hadamard_centers(10, 16, seed=-1)
    with pytest.raises(TypeError, match="bits must be an int, got str"):
        hadamard_centers(10, "16")  # type: ignore[arg-type]
