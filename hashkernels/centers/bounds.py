"""How far apart ``num_classes`` codes of ``bits`` bits can be: exact bounds on the minimum Hamming distance.

An upper bound ``b`` says that no ``num_classes`` words of ``bits`` symbols are pairwise more than ``b`` apart; the
Gilbert-Varshamov bound says from below what is always possible. ``0`` means that the words cannot even be distinct.

Both sizes are given by name: losses take ``(bits, num_classes)`` and constructors ``(num_classes, bits)``, and a bound
for the one order is as plausible as for the other. `ecm_margin` alone takes them in the order of the losses as well.

The margins of the error-correction loss come from here. Note that `ecm_distance`, the paper's ``d*``, is by its
definition one more than the Hamming bound allows, so that no set of codes reaches it; `plotkin_margin` is the margin of
the largest *average* distance, which codes do reach for few classes.

Sources: MacWilliams and Sloane, *The Theory of Error-Correcting Codes* (1977), chapters 1, 2 and 17; the margin:
Xu, Wang and Kitani, *Error Correction Maximization for Deep Image Hashing* (BMVC 2018), equations (4) and (8).
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import comb

from hashkernels._validation import check_bits, check_int
from hashkernels.centers._delsarte import linear_programming_size
from hashkernels.centers._sizes import elias_bassalygo_size, even_case, johnson_size, plotkin_size

MAX_COUNTING_BITS = 512
MAX_LINEAR_PROGRAM_BITS = 256

__all__ = [
    "ball_volume",
    "ecm_distance",
    "ecm_margin",
    "elias_bassalygo_distance",
    "gilbert_varshamov_distance",
    "griesmer_distance",
    "hamming_bound_distance",
    "johnson_distance",
    "linear_programming_distance",
    "plotkin_distance",
    "plotkin_margin",
    "singleton_distance",
    "tightest_distance",
]


def ball_volume(bits: int, radius: int, *, alphabet: int = 2) -> int:
    """Number of words within Hamming distance ``radius`` of a word: ``sum_{i<=radius} C(bits, i) (alphabet - 1)^i``.

    >>> ball_volume(16, 2)
    137
    """
    bits = check_bits(bits)
    radius = check_int("radius", radius, 0)
    alphabet = check_int("alphabet", alphabet, 2)
    return sum(comb(bits, i) * (alphabet - 1) ** i for i in range(min(radius, bits) + 1))


def hamming_bound_distance(*, bits: int, num_classes: int, alphabet: int = 2) -> int:
    """Hamming (sphere-packing) upper bound on the minimum distance.

    The largest ``d <= bits`` with ``num_classes * ball_volume(bits, (d - 1) // 2) <= alphabet ** bits``.

    Args:
        bits: code length, in 1..4096.
        num_classes: number of codes, at least 2.
        alphabet: number of symbols, at least 2.

    >>> hamming_bound_distance(bits=32, num_classes=10)
    24
    """
    bits, num_classes, alphabet = _check(bits, num_classes, alphabet)
    return min(bits, 2 * _packing_radius(bits, num_classes, alphabet))


def ecm_distance(*, bits: int, num_classes: int, alphabet: int = 2) -> int:
    """The distance ``d*`` that the error-correction paper sets its margin by (section 4.2).

    ``d* = 2 t + 1`` with the least ``t`` such that balls of radius ``t`` no longer fit. It violates the Hamming bound
    by definition, so no codes are this far apart: a loss with this margin always pulls. For two or three classes it
    may exceed ``bits``.

    >>> ecm_distance(bits=32, num_classes=10)
    25
    """
    bits, num_classes, alphabet = _check(bits, num_classes, alphabet)
    return 2 * _packing_radius(bits, num_classes, alphabet) + 1


def ecm_margin(bits: int, num_classes: int) -> int:
    """The paper's negative margin ``alpha_neg = bits - 2 d*`` on the inner product of two -1/+1 codes (equation 8).

    It is zero for some pairs, such as 14 bits for 100 classes, where the paper's loss divides by it.

    >>> [ecm_margin(bits, 10) for bits in (12, 24, 32, 48)]
    [-6, -14, -18, -34]
    """
    return bits - 2 * ecm_distance(bits=bits, num_classes=num_classes)


def plotkin_distance(*, bits: int, num_classes: int, alphabet: int = 2) -> int:
    """Plotkin upper bound on the minimum distance: the largest possible average distance, rounded down.

    A column tells most pairs of words apart when its symbols are shared out evenly, so the distances of all pairs add
    up to at most ``bits`` times that number of pairs. In binary: ``floor(bits * floor(M/2) * ceil(M/2) / C(M, 2))``.

    >>> plotkin_distance(bits=48, num_classes=10)
    26
    """
    bits, num_classes, alphabet = _check(bits, num_classes, alphabet)
    return bits * _separated_pairs(num_classes, alphabet) // comb(num_classes, 2)


def plotkin_margin(*, bits: int, num_classes: int) -> float:
    """Inner product of two -1/+1 codes at the largest possible average distance.

    ``bits - 2 * bits * floor(M/2) * ceil(M/2) / C(M, 2)``, which is ``-bits / (M - 1)`` for even ``M`` and
    ``-bits / M`` for odd ``M``: never zero, and what a perfect model can reach on average.

    >>> plotkin_margin(bits=48, num_classes=9)
    -5.333333333333333
    """
    bits, num_classes, _ = _check(bits, num_classes, 2)
    return float(bits - Fraction(2 * bits * _separated_pairs(num_classes, 2), comb(num_classes, 2)))


def singleton_distance(*, bits: int, num_classes: int, alphabet: int = 2) -> int:
    """Singleton upper bound: the largest ``d`` with ``num_classes <= alphabet ** (bits - d + 1)``.

    Reed-Solomon codes meet it.

    >>> singleton_distance(bits=7, num_classes=8**3, alphabet=8)
    5
    """
    bits, num_classes, alphabet = _check(bits, num_classes, alphabet)
    return max(0, bits + 1 - _dimension(num_classes, alphabet))


def gilbert_varshamov_distance(*, bits: int, num_classes: int, alphabet: int = 2) -> int:
    """Gilbert-Varshamov lower bound: a distance that some ``num_classes`` words surely have.

    The largest ``d`` with ``num_classes * ball_volume(bits, d - 1) <= alphabet ** bits``: words may then be picked
    greedily, each outside the balls of those before it.

    >>> gilbert_varshamov_distance(bits=48, num_classes=100)
    16
    """
    bits, num_classes, alphabet = _check(bits, num_classes, alphabet)
    space = alphabet**bits
    covered, distance = 0, 0
    while distance < bits:
        covered += comb(bits, distance) * (alphabet - 1) ** distance
        if num_classes * covered > space:
            break
        distance += 1
    return distance


def griesmer_distance(*, bits: int, num_classes: int, alphabet: int = 2) -> int:
    """Griesmer upper bound on the minimum distance of a *linear* code with at least ``num_classes`` words.

    The largest ``d`` with ``sum_{i<k} ceil(d / alphabet^i) <= bits`` where ``alphabet ** k >= num_classes``. It holds
    for linear codes alone; other codes may be further apart. Linear codes exist where ``alphabet`` is a prime power.

    >>> griesmer_distance(bits=48, num_classes=100)
    23
    """
    bits, num_classes, alphabet = _check(bits, num_classes, alphabet)
    powers = [alphabet**i for i in range(_dimension(num_classes, alphabet))]
    distance = 0
    while sum(-(-(distance + 1) // power) for power in powers) <= bits:
        distance += 1
    return distance


def johnson_distance(*, bits: int, num_classes: int) -> int:
    """Johnson's upper bound on the minimum distance of binary codes, a sharpening of the Hamming bound.

    Args:
        bits: code length, in 1..512.
        num_classes: number of codes, at least 2.

    >>> johnson_distance(bits=15, num_classes=257)
    4
    """
    bits, num_classes, _ = _check(check_int("bits", bits, 1, MAX_COUNTING_BITS), num_classes, 2)
    return _descend(bits, num_classes, johnson_size, hamming_bound_distance(bits=bits, num_classes=num_classes))


def elias_bassalygo_distance(*, bits: int, num_classes: int) -> int:
    """Elias' and Bassalygo's upper bound on the minimum distance of binary codes, by Johnson's constant-weight bounds.

    Args:
        bits: code length, in 1..512.
        num_classes: number of codes, at least 2.

    >>> elias_bassalygo_distance(bits=64, num_classes=1000)
    31
    """
    bits, num_classes, _ = _check(check_int("bits", bits, 1, MAX_COUNTING_BITS), num_classes, 2)
    return _descend(bits, num_classes, elias_bassalygo_size, bits)


def linear_programming_distance(*, bits: int, num_classes: int) -> int:
    """Delsarte's linear programming upper bound on the minimum distance of binary codes, certified in exact rationals.

    It implies the Hamming and Plotkin bounds, from which the search for it starts. Above 2^30 codes the solver may find
    nothing, and these bounds are the result.

    Args:
        bits: code length, in 1..256.
        num_classes: number of codes, at least 2.

    Raises:
        ImportError: scipy is missing (extra "centers").

    >>> linear_programming_distance(bits=48, num_classes=1000)
    20
    """
    bits, num_classes, _ = _check(check_int("bits", bits, 1, MAX_LINEAR_PROGRAM_BITS), num_classes, 2)
    size = {"bits": bits, "num_classes": num_classes}
    start = min(hamming_bound_distance(**size), plotkin_distance(**size))
    return _descend(bits, num_classes, linear_programming_size, start)


def tightest_distance(*, bits: int, num_classes: int, linear_program: bool = True) -> int:
    """The least of the upper bounds on the minimum distance of ``num_classes`` binary codes of ``bits`` bits.

    Hamming, Singleton and Plotkin with the parity and shortening arguments; up to 512 bits Johnson and Elias-Bassalygo;
    up to 256 bits the linear programming bound.

    Args:
        bits: code length, in 1..4096.
        num_classes: number of codes, at least 2.
        linear_program: include the linear programming bound, which needs scipy (extra "centers").

    Raises:
        ImportError: ``linear_program`` is asked for and scipy is missing.

    >>> [tightest_distance(bits=48, num_classes=classes) for classes in (10, 21, 100)]
    [26, 24, 23]
    """
    bits, num_classes, _ = _check(bits, num_classes, 2)
    bound = min(
        singleton_distance(bits=bits, num_classes=num_classes),
        hamming_bound_distance(bits=bits, num_classes=num_classes),
        plotkin_distance(bits=bits, num_classes=num_classes),
    )
    sizes: list[Callable[[int, int], int | None]] = [plotkin_size]
    if bits <= MAX_COUNTING_BITS:
        sizes += [elias_bassalygo_size, johnson_size]
    if linear_program and bits <= MAX_LINEAR_PROGRAM_BITS:
        sizes.append(linear_programming_size)
    for size in sizes:
        bound = _descend(bits, num_classes, size, bound)
    return bound


def _descend(bits: int, num_classes: int, size: Callable[[int, int], int | None], distance: int) -> int:
    """The first distance, from ``distance`` down, at which ``size``, a bound on the number of codes, allows so many."""
    while distance > 0:
        most = size(*even_case(bits, distance))
        if most is None or most >= num_classes:
            break
        distance -= 1
    return distance


def _check(bits: int, num_classes: int, alphabet: int) -> tuple[int, int, int]:
    return check_bits(bits), check_int("num_classes", num_classes, 2), check_int("alphabet", alphabet, 2)


def _packing_radius(bits: int, num_classes: int, alphabet: int) -> int:
    """Least ``t`` such that ``num_classes`` balls of radius ``t`` do not fit; it exists for two balls or more."""
    space = alphabet**bits
    volume, radius = 1, 0
    while num_classes * volume <= space:
        radius += 1
        volume += comb(bits, radius) * (alphabet - 1) ** radius
    return radius


def _separated_pairs(num_classes: int, alphabet: int) -> int:
    """Most pairs of ``num_classes`` words that one column can tell apart."""
    share, rest = divmod(num_classes, alphabet)
    return comb(num_classes, 2) - rest * comb(share + 1, 2) - (alphabet - rest) * comb(share, 2)


def _dimension(num_classes: int, alphabet: int) -> int:
    """Least ``k`` with ``alphabet ** k >= num_classes``."""
    dimension, words = 0, 1
    while words < num_classes:
        dimension += 1
        words *= alphabet
    return dimension
