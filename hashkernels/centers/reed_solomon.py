"""Centres from Reed-Solomon codes, written out in bits."""

from __future__ import annotations

import numpy as np

from hashkernels._validation import check_bits, check_class_count, check_int
from hashkernels.centers._fields import primitive_powers
from hashkernels.centers._linear import MAX_DIMENSION, Bits, adapt, dimension_for, minimum_weight
from hashkernels.centers._select import scramble, select_words
from hashkernels.centers.codebook import Codebook

_FIRST_EXPONENTS = 16

__all__ = ["reed_solomon_centers"]


def reed_solomon_centers(num_classes: int, bits: int, *, seed: int = 0) -> Codebook:
    """Centres from Reed-Solomon codes whose symbols are written in bits.

    A word has one symbol of GF(2^s), s bits, for each of ``n = ceil(bits / s)`` powers x of a primitive element:
    ``x^b f(x)``, with f a polynomial of ``K = ceil(k / s)`` coefficients, where k is the least with
    ``2^k >= num_classes``. Two words differ in at least ``n - K + 1`` symbols; in how many bits depends on s and b. The
    least s with ``n < 2^s``, four more, and ``b`` in 0..15 are tried, each code is punctured to ``bits`` bits, and the
    best kept, by the minimum distance counted over all its words. Of these ``num_classes`` are then chosen.

    Args:
        num_classes: at most ``2 ** min(bits, 18)``.
        bits: code length.
        seed: the same seed gives the same centres.

    Raises:
        ValueError: too many classes.

    Example:
        >>> reed_solomon_centers(10, 32).min_distance >= 14
        True
    """
    bits = check_bits(bits)
    num_classes = check_class_count(num_classes, bits, 2**MAX_DIMENSION)
    rng = np.random.default_rng(check_int("seed", seed, 0))
    dimension = dimension_for(num_classes)
    least = next(s for s in range(2, 13) if -(-bits // s) < 2**s and s * -(-bits // s) >= dimension)
    best, best_distance, recipe = np.empty((0, bits), np.uint8), -1, ""
    for symbol_bits in range(least, min(least + 5, 13)):
        length = -(-bits // symbol_bits)
        symbols = -(-dimension // symbol_bits)
        if symbols > length:
            continue
        powers = _powers(symbol_bits)
        for first in range(min(_FIRST_EXPONENTS, len(powers))):
            generator = _binary_generator(powers, length, symbols, first)
            words = adapt(generator, dimension, bits, rng)
            distance = minimum_weight(words)
            if distance > best_distance:
                best, best_distance = words, distance
                name = f"Reed-Solomon [{length}, {symbols}] over GF({2**symbol_bits}) from exponent {first}"
                recipe = f"{len(words)} words of {bits} bits from {name}"
    return Codebook(scramble(select_words(best, num_classes, rng), rng), construction=recipe)


def _powers(symbol_bits: int) -> Bits:
    """``alpha^0, alpha^1, ...`` as bits, ``uint8 [2^s - 1, s]``."""
    powers = np.array(primitive_powers(2, symbol_bits))
    return (powers[:, None] >> np.arange(symbol_bits) & 1).astype(np.uint8)


def _binary_generator(powers: Bits, length: int, symbols: int, first: int) -> Bits:
    """A row for each coefficient i of f and each bit e of it: ``alpha^(e + (b + i) j)`` at symbol j, in bits."""
    order, symbol_bits = powers.shape
    columns = np.arange(length)
    rows = [powers[(e + (first + i) * columns) % order].ravel() for i in range(symbols) for e in range(symbol_bits)]
    return np.array(rows)
