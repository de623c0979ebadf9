from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from hashkernels.centers import Codebook, assign_centers, hadamard_centers, random_centers


def total(words: np.ndarray, similarity: np.ndarray) -> float:
    off = ~np.eye(len(words), dtype=bool)
    products = words.astype(float) @ words.T.astype(float)
    return float((similarity * products)[off].sum())


def test_no_swap_is_left_that_improves() -> None:
    rng = np.random.default_rng(0)
    book = random_centers(12, 16, seed=0)
    similarity = rng.random((12, 12))
    similarity = similarity + similarity.T
    found = assign_centers(book, similarity)
    words = np.asarray(found)
    reached = total(words, similarity)
    assert reached > total(np.asarray(book), similarity)
    for i in range(12):
        for j in range(i):
            swapped = words.copy()
            swapped[[i, j]] = swapped[[j, i]]
            assert total(swapped, similarity) <= reached + 1e-9


def test_result_is_near_the_best_of_all_orders() -> None:
    rng = np.random.default_rng(1)
    book = random_centers(6, 8, seed=3)
    similarity = rng.random((6, 6))
    every = [total(np.asarray(book)[list(order)], similarity) for order in permutations(range(6))]
    reached = total(np.asarray(assign_centers(book, similarity)), similarity)
    assert min(every) <= reached <= max(every) + 1e-9
    assert np.mean([value <= reached + 1e-9 for value in every]) > 0.95


def test_alike_classes_get_near_centers() -> None:
    words = np.array([[1] * 8, [-1] * 8, [1] * 7 + [-1], [-1] * 7 + [1]], np.int8)
    similarity = np.array([[9, 5, 0, 0], [5, 9, 0, 0], [0, 0, 9, 5], [0, 0, 5, 9]])
    ordered = np.asarray(assign_centers(Codebook(words, construction="two pairs"), similarity))
    assert (ordered[0] != ordered[1]).sum() == 1
    assert (ordered[2] != ordered[3]).sum() == 1


def test_codebook_keeps_its_words_and_properties() -> None:
    book = random_centers(9, 16, seed=0)
    similarity = np.random.default_rng(0).normal(size=(9, 9)).astype(np.float32)
    before = similarity.copy()
    found = assign_centers(book, similarity)
    assert sorted(map(bytes, np.asarray(found))) == sorted(map(bytes, np.asarray(book)))
    assert (found.min_distance, found.upper_bound) == (book.min_distance, book.upper_bound)
    assert found.construction == book.construction
    assert np.array_equal(similarity, before)
    assert found == assign_centers(book, similarity)
    assert assign_centers(book, similarity, max_swaps=0) == book


def test_equidistant_centers_stay() -> None:
    book = hadamard_centers(8, 16)
    assert assign_centers(book, np.random.default_rng(0).random((8, 8))) == book


def test_matrix_that_is_not_symmetric_counts_both_ways() -> None:
    rng = np.random.default_rng(4)
    book = random_centers(8, 12, seed=1)
    similarity = rng.random((8, 8))
    assert assign_centers(book, similarity) == assign_centers(book, (similarity + similarity.T) / 2)


@pytest.mark.parametrize("exponent", [-1070, -40, 40, 1023])
def test_the_unit_of_the_similarity_does_not_matter(exponent: int) -> None:
    # Probabilities of many pairs of classes are small, and counts of items large.
    book = random_centers(12, 16, seed=0)
    similarity = np.random.default_rng(0).integers(0, 8, (12, 12)) / 8
    expected = assign_centers(book, similarity)
    assert expected != book
    assert assign_centers(book, np.ldexp(similarity, exponent)) == expected


def test_arguments_are_checked() -> None:
    book = hadamard_centers(4, 8)
    with pytest.raises(ValueError, match=r"similarity must have shape \[4, 4\], got \(3, 3\)"):
        assign_centers(book, np.eye(3))
    with pytest.raises(ValueError, match="similarity must be finite"):
        assign_centers(book, np.full((4, 4), np.nan))
    with pytest.raises(TypeError, match="similarity must be real numbers, got complex128"):
        assign_centers(book, np.eye(4, dtype=complex))
    with pytest.raises(TypeError, match="centers must be a Codebook, got ndarray"):
        assign_centers(np.asarray(book), np.eye(4))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_swaps must be at least 0, got -1"):
        assign_centers(book, np.eye(4), max_swaps=-1)
