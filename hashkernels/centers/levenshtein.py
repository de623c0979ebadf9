"""Levenshtein's codes from Hadamard matrices, which meet Plotkin's bound: the best centres for few classes."""

from __future__ import annotations

import numpy as np

from hashkernels._validation import check_bits, check_int
from hashkernels.centers._select import dead_weight, scramble
from hashkernels.centers.bounds import plotkin_distance
from hashkernels.centers.codebook import Codebook, Words
from hashkernels.centers.hadamard import has_hadamard_matrix, normalised_hadamard

_DRAWS = 32

__all__ = ["levenshtein_centers"]


def levenshtein_centers(num_classes: int, bits: int, *, seed: int = 0) -> Codebook:
    """Optimal centres for few classes, about half as many as bits, by Levenshtein's theorem.

    For even ``d`` with ``2 d > n`` the largest code has ``2 floor(d / (2 d - n))`` words, and side by side copies of
    shortened Hadamard codes make one wherever the Hadamard matrices exist (MacWilliams and Sloane, chapter 2, theorem
    8). An odd ``d`` is met by leaving one bit out of the code with ``n + 1`` and ``d + 1``. The greatest ``d`` whose
    matrices `hadamard_matrix` has is taken. Each copy has its words in another random order, drawn
    several times, so that few bits repeat.

    Args:
        num_classes: number of centres.
        bits: code length.
        seed: the same seed gives the same centres.

    Raises:
        ValueError: too many classes for any distance above half the bits.

    Example:
        >>> [levenshtein_centers(10, bits).min_distance for bits in (16, 32, 48, 64)]
        [8, 17, 26, 35]
    """
    num_classes = check_int("num_classes", num_classes, 2)
    bits = check_bits(bits)
    rng = np.random.default_rng(check_int("seed", seed, 0))
    for distance in range(plotkin_distance(bits, num_classes), bits // 2, -1):
        odd = distance % 2
        parts = _parts(bits + odd, distance + odd, num_classes)
        if parts is not None:
            draws = [
                np.concatenate([_copy(order, short, num_classes, rng) for order, short in parts], axis=1)[:, :bits]
                for _ in range(_DRAWS)
            ]
            words = scramble(min(draws, key=dead_weight), rng)
            used = " + ".join(f"{sum(p == part for p in parts)} x {_name(*part)}" for part in dict.fromkeys(parts))
            return Codebook(words, construction=f"Levenshtein: {used}{', one bit left out' if odd else ''}")
    raise ValueError(
        f"num_classes must be small enough for a distance above bits / 2 = {bits / 2:g} by Levenshtein's construction "
        f"(about bits / 2), got num_classes={num_classes}, bits={bits}; best_centers takes any"
    )


def _parts(bits: int, distance: int, num_classes: int) -> list[tuple[int, bool]] | None:
    """Hadamard codes to put side by side for an even distance: (order, whether shortened), or None.

    Of a matrix of order m with a constant first column, the other columns are a code of m words, m - 1 bits, distance
    m / 2; the words with one value in the second column, a shortened one of m / 2 words, m - 2 bits, distance m / 2.
    """
    surplus = 2 * distance - bits
    k = distance // surplus if surplus > 0 else 0
    if 2 * k < num_classes:
        return None
    first = distance * (2 * k + 1) - bits * (k + 1)
    second = k * bits - distance * (2 * k - 1)
    if bits % 2 == 0:
        parts = [(4 * k, True)] * (first // 2) + [(4 * k + 4, True)] * (second // 2)
    elif k % 2 == 0:
        parts = [(2 * k, False)] * first + [(4 * k + 4, True)] * (second // 2)
    else:
        parts = [(4 * k, True)] * (first // 2) + [(2 * k + 2, False)] * second
    return parts if all(has_hadamard_matrix(order) for order, _ in parts) else None


def _copy(order: int, shortened: bool, num_words: int, rng: np.random.Generator) -> Words:
    matrix = normalised_hadamard(order)
    words = matrix[matrix[:, 1] == 1, 2:] if shortened else matrix[:, 1:]
    return words[rng.choice(len(words), num_words, replace=False)]


def _name(order: int, shortened: bool) -> str:
    size = f"({order - 2}, {order // 2}, {order // 2})" if shortened else f"({order - 1}, {order}, {order // 2})"
    return f"{size} code of the Hadamard matrix of order {order}"
