"""Upper bounds on ``A(n, d)``, the greatest number of binary words of length n at distance d or more: exact integers.

All take an even ``d``; an odd one asks for ``A(n, d) = A(n + 1, d + 1)``, since a parity bit makes all distances even.
"""

from __future__ import annotations

from math import comb


def even_case(bits: int, distance: int) -> tuple[int, int]:
    """The ``(n, d)`` with an even ``d`` and the same ``A(n, d)``."""
    return (bits, distance) if distance % 2 == 0 else (bits + 1, distance + 1)


def plotkin_size(bits: int, distance: int) -> int:
    """Plotkin and Levenshtein: ``2 floor(d / (2d - n))`` where ``2d > n``, ``4d`` where ``2d = n``, and twice the bound
    of one bit less below that (words that agree in a bit)."""
    surplus = 2 * distance - bits
    return 2 * (distance // surplus) if surplus > 0 else 4 * distance * 2**-surplus


def constant_weight_size(bits: int, distance: int, weight: int) -> int:
    """Johnson's bounds on the number of words of one weight, ``distance`` even or more apart.

    The averaging bound ``d n / (2 w^2 - 2 w n + d n)`` where it holds, and the nested ``floor((n - i) / (w - i) ...)``.
    """
    half = distance // 2
    weight = min(weight, bits - weight)
    if weight < half:
        return 1
    bound = 1
    for w in range(half, weight + 1):
        bound = (bits - weight + w) * bound // w
    denominator = weight * weight - weight * bits + half * bits
    return min(bound, half * bits // denominator) if denominator > 0 else bound


def johnson_size(bits: int, distance: int) -> int:
    """Johnson's sharpening of the Hamming bound (MacWilliams and Sloane, chapter 17, theorem 13).

    Balls of radius e around the words of a code of distance 2e + 1 leave words at distance e + 1 uncovered; each is at
    distance e + 1 from few words of the code.
    """
    length, radius = bits - 1, distance // 2 - 1
    if length == 0:
        return 2
    volume = sum(comb(length, i) for i in range(radius + 1))
    near = comb(2 * radius + 1, radius) * (
        constant_weight_size(length, distance, 2 * radius + 1) if 2 * radius + 1 <= length else 0
    )
    uncovered = max(0, comb(length, radius + 1) - near)
    share = max(1, length // (radius + 1))
    space: int = 2**length
    return space * share // (volume * share + uncovered)


def elias_bassalygo_size(bits: int, distance: int) -> int:
    """Elias and Bassalygo: some sphere of radius w holds at least its share ``M C(n, w) / 2^n`` of the words, and no
    more than a code of constant weight w can have; the best w."""
    space: int = 2**bits
    return min(
        space * constant_weight_size(bits, distance, weight) // comb(bits, weight) for weight in range(bits // 2 + 1)
    )
