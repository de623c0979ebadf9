"""Binary linear codes as generator matrices ``uint8 [k, n]`` of 0/1, and words ``uint8 [2^k, n]``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.uint8]

MAX_DIMENSION = 18
_SPAN_DIMENSION = 12


def dimension_for(num_words: int) -> int:
    """Least k with ``2^k >= num_words``."""
    return (num_words - 1).bit_length()


def span(generator: Bits) -> Bits:
    """All sums of rows: word i is the sum of the rows at the set bits of i."""
    words = np.zeros((1, generator.shape[1]), np.uint8)
    for row in generator:
        words = np.concatenate([words, words ^ row])
    return words


def minimum_weight(words: Bits) -> int:
    """Minimum distance of a linear code, given all its words: the least weight but that of the first, zero."""
    return int(words[1:].sum(axis=1, dtype=np.int64).min())


def cyclic_generator(polynomial: int, length: int) -> Bits:
    """Generator matrix of a cyclic code from its generator polynomial over GF(2), an integer whose bit i is ``x^i``."""
    dimension = length - polynomial.bit_length() + 1
    row = np.array([polynomial >> i & 1 for i in range(length)], np.uint8)
    return np.array([np.roll(row, shift) for shift in range(dimension)])


def extend(generator: Bits) -> Bits:
    """Add an overall parity bit."""
    return np.concatenate([generator, generator.sum(axis=1, keepdims=True, dtype=np.uint8) & 1], axis=1)


def shorten(generator: Bits, column: int) -> Bits:
    """Keep the words that are zero in a column, and leave the column out."""
    rows = np.flatnonzero(generator[:, column])
    rest = np.delete(generator, column, axis=1)
    if len(rows) == 0:
        return rest
    pivot = rows[0]
    rest[rows[1:]] ^= rest[pivot]
    return np.delete(rest, pivot, axis=0)


def puncture(words: Bits, count: int) -> Bits:
    """Leave out ``count`` columns, each time the one that the fewest of the lightest words need."""
    for _ in range(count):
        weights = words.sum(axis=1, dtype=np.int64)
        light = int(weights[1:].min())
        needed = [words[weights == weight].sum(axis=0, dtype=np.int64) for weight in (light + 1, light)]
        words = np.delete(words, np.lexsort(needed)[0], axis=1)
    return words


def adapt(generator: Bits, dimension: int, bits: int, rng: np.random.Generator) -> Bits:
    """At least ``2^dimension`` words of a code made from a longer or larger one.

    It is shortened as far as both allow, then punctured. What is left of more dimensions is kept up to 2^12 words,
    since a choice among more words repeats fewer bits, and beyond that brought down to a random subcode.
    """
    while generator.shape[0] > dimension and generator.shape[1] > bits:
        generator = shorten(generator, int(rng.integers(generator.shape[1])))
    kept = max(dimension, _SPAN_DIMENSION)
    if generator.shape[0] > kept:
        generator = rng.permutation(generator)
        mixture = rng.integers(0, 2, (kept, generator.shape[0] - kept), dtype=np.uint8)
        generator = generator[:kept] ^ (mixture.astype(np.int64) @ generator[kept:] & 1).astype(np.uint8)
    return puncture(span(generator), generator.shape[1] - bits)
