"""Centres from BCH codes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hashkernels._validation import check_bits, check_class_count, check_int
from hashkernels.centers._fields import minimal_polynomial
from hashkernels.centers._linear import (
    MAX_DIMENSION,
    Bits,
    adapt,
    cyclic_generator,
    dimension_for,
    extend,
    minimum_weight,
)
from hashkernels.centers._select import scramble, select_words
from hashkernels.centers.codebook import Codebook

_TRIALS = 4

__all__ = ["bch_centers"]


def bch_centers(num_classes: int, bits: int, *, seed: int = 0) -> Codebook:
    """Centres from primitive narrow-sense binary BCH codes.

    With ``k`` the least dimension of ``2^k >= num_classes`` words and N the least ``2^m - 1 >= bits - 1``, the BCH
    codes of length N that are not much larger than ``k + N - bits`` are taken as they are and extended by a parity
    bit. Each is shortened at random columns as long as it has more than k dimensions and ``bits`` bits, and then
    punctured at the columns that its lightest words need least. The best is kept, by the minimum distance counted over
    all its words, of which ``num_classes`` are then chosen that repeat few bits.

    Args:
        num_classes: at most ``2 ** min(bits, 18)``.
        bits: code length.
        seed: the same seed gives the same centres.

    Raises:
        ValueError: too many classes.

    Example:
        >>> bch_centers(100, 32).min_distance
        12
    """
    bits = check_bits(bits)
    num_classes = check_class_count(num_classes, bits, 2**MAX_DIMENSION)
    rng = np.random.default_rng(check_int("seed", seed, 0))
    words, recipe = bch_words(dimension_for(num_classes), bits, rng)
    return Codebook(scramble(select_words(words, num_classes, rng), rng), construction=recipe)


def bch_words(dimension: int, bits: int, rng: np.random.Generator) -> tuple[Bits, str]:
    """At least ``2^dimension`` words of the best adaptation of a BCH code, and what it is."""
    degree = max(2, (bits - 1).bit_length(), dimension.bit_length())
    length = 2**degree - 1
    best, best_distance, recipe = np.empty((0, bits), np.uint8), -1, ""
    for polynomial in _generator_polynomials(degree):
        code = length - polynomial.bit_length() + 1
        if not dimension <= code <= dimension + length + 1 - bits + degree:
            continue
        generator = cyclic_generator(polynomial, length)
        for source, name in ((extend(generator), "extended BCH"), (generator, "BCH")):
            if source.shape[1] < bits:
                continue
            for _ in range(_TRIALS if source.shape[1] > bits else 1):
                words = adapt(source, dimension, bits, rng)
                distance = minimum_weight(words)
                if distance > best_distance:
                    best, best_distance = words, distance
                    recipe = f"{len(words)} words of {bits} bits from the {name} code [{source.shape[1]}, {code}]"
    return best, recipe


def _generator_polynomials(degree: int) -> Iterator[int]:
    """Generators of the narrow-sense BCH codes of length ``2^degree - 1``, by designed distance, as integers."""
    order = 2**degree - 1
    product, covered = 1, set[int]()
    yield product
    for exponent in range(1, order):
        if exponent not in covered:
            covered |= {exponent * 2**i % order for i in range(degree)}
            product = _multiply(product, minimal_polynomial(degree, exponent))
            yield product


def _multiply(first: int, second: int) -> int:
    """Product of two polynomials over GF(2)."""
    product = 0
    while second:
        if second & 1:
            product ^= first
        first, second = first << 1, second >> 1
    return product
