from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hashkernels.centers import Codebook, minimum_distance

TETRAHEDRON = np.array([[1, 1, 1], [-1, -1, 1], [-1, 1, -1], [1, -1, -1]])


def test_codebook_reports_its_properties() -> None:
    book = Codebook(TETRAHEDRON.astype(np.float32), construction="even weight")
    assert (book.num_classes, book.bits, book.min_distance, book.upper_bound) == (4, 3, 2, 2)
    assert book.construction == "even weight"
    assert len(book) == 4
    assert "min_distance=2" in repr(book)


def test_codebook_converts_to_numpy_and_torch_and_stays_unchanged() -> None:
    words = TETRAHEDRON.copy()
    book = Codebook(words, construction="even weight")
    words[:] = 1
    array = np.asarray(book)
    assert array.dtype == np.int8
    array[:] = 1
    assert np.array_equal(np.asarray(book), TETRAHEDRON)
    assert np.asarray(book, dtype=np.float64).dtype == np.float64
    assert torch.from_numpy(np.asarray(book)).tolist() == TETRAHEDRON.tolist()
    assert [row.tolist() for row in book] == TETRAHEDRON.tolist()
    with pytest.raises(ValueError, match="copy must not be False"):
        np.array(book, copy=False)


def test_equal_words_make_equal_codebooks() -> None:
    book = Codebook(TETRAHEDRON, construction="one")
    assert book == Codebook(TETRAHEDRON.tolist(), construction="other")
    assert hash(book) == hash(Codebook(TETRAHEDRON.tolist(), construction="other"))
    assert book != Codebook(TETRAHEDRON[::-1], construction="one")
    assert book != "one"


def test_constant_and_duplicate_columns_are_counted() -> None:
    words = np.array([[1, 1, -1, 1, 1, -1], [1, -1, 1, 1, -1, -1], [1, 1, -1, -1, 1, -1]])
    book = Codebook(words, construction="by hand")
    assert book.num_constant_columns == 2  # the first and the last
    assert book.num_duplicate_columns == 3  # the last, and two copies of the second column, one complemented


@given(words=arrays(np.bool_, st.tuples(st.integers(2, 9), st.integers(1, 130))))
def test_minimum_distance_is_the_least_of_all_pairs(words: np.ndarray, isa: str) -> None:
    pairs = [int((words[i] != words[j]).sum()) for i in range(len(words)) for j in range(i)]
    assert minimum_distance(words) == min(pairs)
    assert minimum_distance(np.where(words, 1, -1)) == min(pairs)


@pytest.mark.parametrize("near", [(0, 1), (0, 2600), (1023, 1024), (1024, 2600), (2599, 2600)])
def test_minimum_distance_finds_the_pair_wherever_it_is(isa: str, near: tuple[int, int]) -> None:
    words = np.random.default_rng(0).random((2601, 129)) < 0.5  # at this length 20 bits apart at least
    first, second = near
    words[second] = words[first]
    words[second, 60:68] ^= True
    assert minimum_distance(words) == 8
    words[second] = words[first]
    assert minimum_distance(words) == 0


def test_minimum_distance_of_words_longer_than_codes_are() -> None:
    words = np.random.default_rng(1).random((5, 4100)) < 0.5
    assert minimum_distance(words) == min(int((words[i] != words[j]).sum()) for i in range(5) for j in range(i))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([[1, 1]], r"words must have shape \[M >= 2, bits >= 1\], got \(1, 2\)"),
        (np.zeros((2, 0)), r"words must have shape .*, got \(2, 0\)"),
        (np.array([[240], [255]], np.uint8), "words must hold only -1 and .*: unpack_codes makes them of packed codes"),
        ([[1, 0], [1, -1]], "words must hold only -1 and"),
        ([[1, np.nan], [1, -1]], "words must hold only -1 and"),
    ],
)
def test_minimum_distance_refuses_what_are_no_words(words: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        minimum_distance(words)
    assert minimum_distance([[1, 0], [1, 1]]) == 1


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        ([[1, 1]], ValueError, r"words must have shape \[num_classes >= 2, bits >= 1\], got \(1, 2\)"),
        ([1, -1], ValueError, r"words must have shape .*, got \(2,\)"),
        ([[1, 0], [1, 1]], ValueError, "words must hold only -1 and"),
        ([[True], [False]], TypeError, "words must be numbers, got bool"),
        ([["a"], ["b"]], TypeError, "words must be numbers, got <U1"),
    ],
)
def test_bad_words_are_refused(words: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Codebook(words, construction="none")


def test_an_impossible_upper_bound_is_refused() -> None:
    with pytest.raises(ValueError, match="upper_bound must be at least the minimum distance 2, got 1"):
        Codebook(TETRAHEDRON, construction="even weight", upper_bound=1)
