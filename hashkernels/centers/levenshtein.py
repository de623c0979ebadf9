"""Levenshtein's codes from Hadamard matrices, which meet Plotkin's bound: the best centres for few classes."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from hashkernels._validation import check_bits, check_class_count, check_int
from hashkernels.centers._select import dead_weight, draws_within_budget, scramble
from hashkernels.centers.bounds import plotkin_distance
from hashkernels.centers.codebook import Codebook, Words
from hashkernels.centers.hadamard import draw_rows, hadamard_matrix, has_hadamard_matrix, normalised_hadamard

__all__ = ["levenshtein_centers"]


def levenshtein_centers(num_classes: int, bits: int, *, seed: int = 0) -> Codebook:
    """Optimal centres for few classes by Levenshtein's theorem.

    For even ``d`` with ``2 d > n`` the largest code has ``2 floor(d / (2 d - n))`` words, and side by side copies of
    shortened Hadamard codes make one wherever the Hadamard matrices exist; for ``2 d = n`` it has ``2 n`` words, the
    rows of a Hadamard matrix and their opposites (MacWilliams and Sloane, chapter 2, theorem 8). An odd ``d`` is met by
    leaving one bit out of the code with ``n + 1`` and ``d + 1``. The greatest ``d`` whose matrices `hadamard_matrix`
    has is taken. Each copy has its words in another random order, drawn several times, so that few bits repeat.

    Args:
        num_classes: about ``bits / 2`` at most, and ``2 * bits`` where there is a Hadamard matrix of that order.
        bits: code length.
        seed: the same seed gives the same centres.

    Raises:
        ValueError: too many classes for a distance of half the bits, or a Hadamard matrix is missing.

    Example:
        >>> [levenshtein_centers(10, bits).min_distance for bits in (16, 32, 48, 64)]
        [8, 17, 26, 35]
    """
    bits = check_bits(bits)
    num_classes = check_class_count(num_classes, bits)
    rng = np.random.default_rng(check_int("seed", seed, 0))
    for distance in range(plotkin_distance(bits=bits, num_classes=num_classes), (bits - 1) // 2 - 1, -1):
        odd = distance % 2
        parts = _parts(bits + odd, distance + odd, num_classes)
        if parts is not None:
            draws = [
                np.concatenate([_draw(part, num_classes, rng) for part in parts], axis=1)[:, :bits]
                for _ in range(draws_within_budget(num_classes, bits))
            ]
            words = scramble(min(draws, key=dead_weight), rng)
            used = " + ".join(f"{parts.count(part)} x {_name(part)}" for part in dict.fromkeys(parts))
            return Codebook(words, construction=f"Levenshtein: {used}{', one bit left out' if odd else ''}")
    raise ValueError(
        "num_classes must be small enough (about bits / 2) for Levenshtein's construction, "
        f"got num_classes={num_classes}, bits={bits}; best_centers takes any"
    )


class _Part(NamedTuple):
    """A code made of a Hadamard matrix of this order.

    "simplex": of the matrix with a constant first column the other ones: m words, m - 1 bits, distance m / 2.
    "shortened": its words with one value in a column, without that: m / 2 words, m - 2 bits, distance m / 2.
    "biorthogonal": the rows and their opposites: 2 m words, m bits, distance m / 2.
    """

    order: int
    kind: Literal["simplex", "shortened", "biorthogonal"]


def _parts(bits: int, distance: int, num_classes: int) -> list[_Part] | None:
    """Codes that side by side have an even ``distance``, or None."""
    surplus = 2 * distance - bits
    if surplus < 0 or num_classes > (2 * (distance // surplus) if surplus else 2 * bits):
        return None
    if surplus == 0:
        parts = [_Part(bits, "biorthogonal")]
    else:
        k = distance // surplus
        first = distance * (2 * k + 1) - bits * (k + 1)
        second = k * bits - distance * (2 * k - 1)
        if bits % 2 == 0:
            parts = [_Part(4 * k, "shortened")] * (first // 2) + [_Part(4 * k + 4, "shortened")] * (second // 2)
        elif k % 2 == 0:
            parts = [_Part(2 * k, "simplex")] * first + [_Part(4 * k + 4, "shortened")] * (second // 2)
        else:
            parts = [_Part(4 * k, "shortened")] * (first // 2) + [_Part(2 * k + 2, "simplex")] * second
    return parts if all(has_hadamard_matrix(part.order) for part in parts) else None


def _draw(part: _Part, num_words: int, rng: np.random.Generator) -> Words:
    if part.kind == "biorthogonal":
        return draw_rows(hadamard_matrix(part.order), num_words, rng)
    matrix = normalised_hadamard(part.order)
    words = matrix[:, 1:] if part.kind == "simplex" else matrix[matrix[:, 1] == 1, 2:]
    return words[rng.choice(len(words), num_words, replace=False)]


def _name(part: _Part) -> str:
    order = part.order
    bits, words = {
        "simplex": (order - 1, order),
        "shortened": (order - 2, order // 2),
        "biorthogonal": (order, 2 * order),
    }[part.kind]
    return f"({bits}, {words}, {order // 2}) code of the Hadamard matrix of order {order}"
