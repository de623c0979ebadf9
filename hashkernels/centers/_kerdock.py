"""Kerdock's codes, with more words than any linear code of their distance, as Gray images of codes modulo four."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hashkernels.centers._linear import Bits

KERDOCK_LENGTHS = (16, 64)
_PRIMITIVE = {3: 0b1011, 5: 0b100101}


def kerdock_words(length: int) -> Bits:
    """The Kerdock code of 16 bits (256 words, distance 6: Nordstrom and Robinson's) or 64 (4096 words, distance 28).

    Over Z4 take the words ``c + T(a x)`` on the Teichmueller points x of the Galois ring of degree m, with ``2^(m+1)``
    the length, and map 0, 1, 2, 3 to 00, 01, 11, 10 (Hammons, Kumar, Calderbank, Sloane and Sole, IEEE Trans. Inform.
    Theory 40, 1994).
    """
    degree = length.bit_length() - 2
    modulus = _hensel_lift(_PRIMITIVE[degree], degree)
    points = np.zeros((2**degree, degree), np.int64)  # 0, 1, x, x^2, ... as polynomials modulo the lifted one
    points[1, 0] = 1
    for i in range(2, len(points)):
        shifted = np.roll(points[i - 1], 1)
        lead, shifted[0] = shifted[0], 0
        points[i] = (shifted - lead * modulus) % 4
    rows = np.concatenate([np.ones((1, len(points)), np.int64), points.T])
    words = np.zeros((1, len(points)), np.int64)
    for scale in (2, 1):
        for row in rows:
            words = np.concatenate([words, (words + scale * row) % 4])
    return np.concatenate([words >= 2, (words == 1) | (words == 2)], axis=1).astype(np.uint8)


def _hensel_lift(polynomial: int, degree: int) -> NDArray[np.int64]:
    """Coefficients below the leading one of the polynomial over Z4 whose roots are odd-order lifts of the binary one's.

    Graeffe's step: with e and o the even and odd part of f, the lift at ``x^2`` is ``+-(e(x)^2 - o(x)^2)``.
    """
    coefficients = np.array([polynomial >> i & 1 for i in range(degree + 1)])
    even, odd = coefficients.copy(), coefficients.copy()
    even[1::2] = 0
    odd[0::2] = 0
    square = np.convolve(even, even) - np.convolve(odd, odd)
    lift = square[0::2]
    return np.asarray(lift[:degree] * lift[degree] % 4, np.int64)
