"""A set of class centres with its proven properties."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashkernels import _ops
from hashkernels.centers.bounds import tightest_distance

Words = NDArray[np.int8]

__all__ = ["Codebook", "minimum_distance"]


class Codebook:
    """``num_classes`` codes of ``bits`` bits, one a class.

    ``np.asarray(codebook)`` gives a new ``int8 [num_classes, bits]`` array of -1/+1, which ``torch.from_numpy`` takes.
    Two codebooks are equal when their words are, in the same order. Codebooks do not change.

    Args:
        words: -1/+1 of any numeric dtype, ``[num_classes, bits]``, at least two rows.
        construction: where the words come from, in words.
        upper_bound: an upper bound on the minimum distance of any such set; default:
            `bounds.tightest_distance` without its linear program.

    Raises:
        ValueError: another shape, values other than -1 and +1, or an upper bound below the minimum distance.
        TypeError: words that are not numbers.

    Example:
        >>> book = Codebook([[1, 1, 1], [-1, -1, 1], [-1, 1, -1], [1, -1, -1]], construction="even weight")
        >>> book.min_distance, book.upper_bound, book.bits, book.num_classes
        (2, 2, 3, 4)
        >>> np.asarray(book).dtype
        dtype('int8')
    """

    __slots__ = ("_construction", "_min_distance", "_upper_bound", "_words")

    def __init__(self, words: Any, *, construction: str, upper_bound: int | None = None) -> None:
        array = np.asarray(words)
        if array.dtype.kind not in "iuf":
            raise TypeError(f"words must be numbers, got {array.dtype}")
        if array.ndim != 2 or array.shape[0] < 2 or array.shape[1] < 1:
            raise ValueError(f"words must have shape [num_classes >= 2, bits >= 1], got {array.shape}")
        if not bool((np.abs(array) == 1).all()):
            raise ValueError("words must hold only -1 and +1")
        self._words: Words = array.astype(np.int8)
        self._words.setflags(write=False)
        self._construction = construction
        self._min_distance = minimum_distance(self._words)
        if upper_bound is None:
            upper_bound = tightest_distance(bits=self.bits, num_classes=self.num_classes, linear_program=False)
        if upper_bound < self._min_distance:
            raise ValueError(
                f"upper_bound must be at least the minimum distance {self._min_distance}, got {upper_bound}"
            )
        self._upper_bound = upper_bound

    @property
    def num_classes(self) -> int:
        """Number of words."""
        return int(self._words.shape[0])

    @property
    def bits(self) -> int:
        """Length of a word."""
        return int(self._words.shape[1])

    @property
    def min_distance(self) -> int:
        """Least Hamming distance between two words, counted over all pairs."""
        return self._min_distance

    @property
    def upper_bound(self) -> int:
        """No ``num_classes`` words of ``bits`` bits have a greater minimum distance than this."""
        return self._upper_bound

    @property
    def construction(self) -> str:
        """Where the words come from."""
        return self._construction

    @property
    def num_constant_columns(self) -> int:
        """Bits that have the same value in every word, and so say nothing about the class."""
        return int((self._words == self._words[0]).all(axis=0).sum())

    @property
    def num_duplicate_columns(self) -> int:
        """Bits that repeat an earlier bit or its complement. Few classes or many bits make some unavoidable."""
        columns = (self._words * self._words[0]).T
        return self.bits - len(np.unique(columns, axis=0))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("copy must not be False: a Codebook gives out copies of its words")
        return self._words.astype(np.int8 if dtype is None else dtype)

    def __len__(self) -> int:
        return self.num_classes

    def __iter__(self) -> Iterator[Words]:
        return iter(np.asarray(self))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Codebook) and np.array_equal(self._words, other._words)

    def __hash__(self) -> int:
        return hash((self._words.shape, self._words.tobytes()))

    def __repr__(self) -> str:
        return (
            f"Codebook(num_classes={self.num_classes}, bits={self.bits}, min_distance={self.min_distance}, "
            f"upper_bound={self.upper_bound}, construction={self.construction!r})"
        )


def minimum_distance(words: Any) -> int:
    """Least Hamming distance between two rows of ``words`` (-1/+1 or 0/1, ``[M >= 2, bits >= 1]``), exact.

    Raises:
        ValueError: another shape, or other values, such as those of packed codes.

    >>> minimum_distance(np.array([[1, 1, 1], [1, -1, -1]]))
    2
    """
    array = np.asarray(words)
    if array.ndim != 2 or array.shape[0] < 2 or array.shape[1] < 1:
        raise ValueError(f"words must have shape [M >= 2, bits >= 1], got {array.shape}")
    ones = array == 1
    if not bool((ones | (array == -1)).all() or (ones | (array == 0)).all()):
        raise ValueError("words must hold only -1 and +1, or only 0 and 1: unpack_codes makes them of packed codes")
    return _ops.least_distance(pack_words(ones))


def pack_words(bits: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Booleans ``[M, bits]`` to ``uint64 [M, ceil(bits / 64)]``, padded by zeros."""
    packed = np.packbits(bits, axis=1)
    padded = np.zeros((len(packed), -(-packed.shape[1] // 8) * 8), np.uint8)
    padded[:, : packed.shape[1]] = packed
    return padded.view(np.uint64)


def distances_to(word: NDArray[np.uint64], others: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Hamming distances of one packed word ``[W]`` to ``others [M, W]``."""
    distances: NDArray[np.int64] = np.bitwise_count(others ^ word).sum(axis=1, dtype=np.int64)
    return distances
