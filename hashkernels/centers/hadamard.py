"""Hadamard matrices by Sylvester and Paley, and class centres from their rows."""

from __future__ import annotations

from functools import cache, lru_cache

import numpy as np

from hashkernels._validation import check_bits, check_class_count, check_int
from hashkernels.centers._fields import prime_power, quadratic_character
from hashkernels.centers._select import dead_weight, draws_within_budget, random_signs, scramble
from hashkernels.centers.codebook import Codebook, Words

MAX_ORDER = 4096

__all__ = ["MAX_ORDER", "hadamard_centers", "hadamard_matrix", "has_hadamard_matrix"]


def has_hadamard_matrix(order: int) -> bool:
    """Whether `hadamard_matrix` can build this order: 1, 2, or by Paley, then doubled any number of times, up to 4096.

    >>> [order for order in range(1, 49) if has_hadamard_matrix(order)]
    [1, 2, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48]
    """
    order = check_int("order", order, 1)
    return order <= MAX_ORDER and _recipe(order) is not None


def hadamard_matrix(order: int) -> Words:
    """A Hadamard matrix ``H``, ``int8 [order, order]`` of -1/+1 with ``H @ H.T == order * I``.

    Sylvester's for powers of two; Paley's first kind for ``q + 1``, ``q = 3 mod 4`` a prime power; Paley's second kind
    for ``2 (q + 1)``, ``q = 1 mod 4`` a prime power; and these doubled by ``[[H, H], [H, -H]]``. Of the multiples of
    four up to 256 all but 92, 116, 156, 172, 184, 188, 232 and 236 are so built.

    Raises:
        ValueError: an order that these constructions do not reach.

    >>> h = hadamard_matrix(12).astype(int)
    >>> bool((h @ h.T == 12 * np.eye(12)).all())
    True
    """
    order = check_int("order", order, 1, MAX_ORDER)
    if _recipe(order) is None:
        raise ValueError(
            f"order must be one that Sylvester's and Paley's constructions and their doublings reach, got {order}"
        )
    return _matrix(order).copy()


def normalised_hadamard(order: int) -> Words:
    """A Hadamard matrix whose first column is all +1."""
    matrix = hadamard_matrix(order)
    return matrix * matrix[:, :1]


def hadamard_centers(num_classes: int, bits: int, *, seed: int = 0) -> Codebook:
    """Centres at distance ``bits / 2`` (or ``bits``) from each other: rows of a Hadamard matrix or of ``[H; -H]``.

    Taking the first rows, as is often done, leaves bits that are the same for every class. Here the rows are drawn at
    random several times and the draw with the fewest constant, then repeated, then unbalanced bits is kept; rows
    and columns then get random signs and columns a random order, none of which changes a distance of ``bits / 2``.

    Args:
        num_classes: at most ``2 * bits``.
        bits: an order for which `has_hadamard_matrix` holds.
        seed: of the random choices; the same seed gives the same centres.

    Raises:
        ValueError: no such Hadamard matrix, or too many classes for it.

    Example:
        >>> hadamard_centers(21, 48).min_distance
        24
    """
    bits = check_bits(bits)
    num_classes = check_class_count(num_classes, bits)
    seed = check_int("seed", seed, 0)
    if not has_hadamard_matrix(bits) or num_classes > 2 * bits:
        raise ValueError(
            "hadamard_centers needs bits that are the order of a known Hadamard matrix (1, 2, 4, 8, 12, 16, 20, ...) "
            f"and num_classes in 2..2 * bits, got num_classes={num_classes}, bits={bits}; best_centers takes any"
        )
    rng = np.random.default_rng(seed)
    matrix = _matrix(bits)
    drawn = (draw_rows(matrix, num_classes, rng) for _ in range(draws_within_budget(num_classes, bits)))
    rows = min(drawn, key=dead_weight)
    halves = "H" if num_classes <= bits else "[H; -H]"
    recipe = f"{num_classes} rows of {halves}, Hadamard matrix of order {bits} ({_recipe(bits)})"
    return Codebook(scramble(rows, rng), construction=recipe)


def draw_rows(matrix: Words, num_rows: int, rng: np.random.Generator) -> Words:
    """Rows of ``matrix`` with random signs; more than there are: all of them and the opposites of some, shuffled."""
    order = len(matrix)
    signed = matrix * random_signs(order, rng)[:, None]
    if num_rows <= order:
        return signed[rng.choice(order, num_rows, replace=False)]
    opposites = -signed[rng.choice(order, num_rows - order, replace=False)]
    return rng.permutation(np.concatenate([signed, opposites]))


@cache
def _recipe(order: int) -> str | None:
    """How to build an order: "Sylvester", "Paley I", "Paley II", "doubled ...", or None."""
    if order & (order - 1) == 0:
        return "Sylvester"
    if order % 4:
        return None
    if prime_power(order - 1):
        return "Paley I"
    if order % 8 == 4 and prime_power(order // 2 - 1):
        return "Paley II"
    half = _recipe(order // 2)
    return half and f"doubled {half}"


@lru_cache(maxsize=8)
def _matrix(order: int) -> Words:
    recipe = _recipe(order)
    if recipe == "Paley I":
        return _paley_first(order)
    if recipe == "Paley II":
        return _paley_second(order)
    if order == 1:
        return np.ones((1, 1), np.int8)
    return np.kron(np.array([[1, 1], [1, -1]], np.int8), _matrix(order // 2))


def _paley_first(order: int) -> Words:
    """``I + S`` with the skew conference matrix ``S`` of order q + 1, q = 3 mod 4."""
    field = prime_power(order - 1)
    assert field is not None
    matrix = np.ones((order, order), np.int8)
    matrix[1:, 0] = -1
    matrix[1:, 1:] = quadratic_character(*field) + np.eye(order - 1, dtype=np.int8)
    return matrix


def _paley_second(order: int) -> Words:
    """The symmetric conference matrix of order q + 1, q = 1 mod 4, with 2 x 2 blocks put for its entries."""
    field = prime_power(order // 2 - 1)
    assert field is not None
    conference = np.ones((order // 2, order // 2), np.int8)
    conference[0, 0] = 0
    conference[1:, 1:] = quadratic_character(*field)
    off_diagonal = np.array([[1, 1], [1, -1]], np.int8)
    diagonal = np.array([[1, -1], [-1, -1]], np.int8)
    return np.kron(conference, off_diagonal) + np.kron(np.eye(order // 2, dtype=np.int8), diagonal)
