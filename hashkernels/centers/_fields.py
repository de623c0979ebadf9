"""The little finite-field arithmetic that the constructions need, by tables of powers of a primitive element.

A general library compiles code for each field on first use, which takes seconds; these tables take milliseconds. An
element of GF(p^k) is the integer whose base-p digits, highest first, are its coefficients as a polynomial in x.
"""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
from numpy.typing import NDArray


def prime_power(order: int) -> tuple[int, int] | None:
    """``(p, k)`` with ``order == p ** k`` and ``p`` prime, or None."""
    if order < 2:
        return None
    prime = next((p for p in range(2, int(order**0.5) + 1) if order % p == 0), order)
    degree = 0
    while order % prime == 0:
        order //= prime
        degree += 1
    return (prime, degree) if order == 1 else None


def quadratic_character(prime: int, degree: int) -> NDArray[np.int8]:
    """``chi(a - b)`` for all a, b of GF(prime^degree), ``[q, q]``: 0 on the diagonal, +1 for squares, -1 for others."""
    order = prime**degree
    digits = np.array(list(product(range(prime), repeat=degree)))  # element i is the polynomial of these coefficients
    place = prime ** np.arange(degree - 1, -1, -1)
    chi = np.zeros(order, np.int8)
    for exponent, element in enumerate(primitive_powers(prime, degree)):
        chi[element] = 1 if exponent % 2 == 0 else -1
    table = np.empty((order, order), np.int8)
    for row, element in enumerate(digits):
        table[row] = chi[((element - digits) % prime) @ place]
    return table


@cache
def primitive_powers(prime: int, degree: int) -> tuple[int, ...]:
    """``x^0, x^1, ...`` modulo the first monic polynomial whose root x generates the multiplicative group.

    First by its coefficients, highest first: ``x^4 + x + 1``, ``x^5 + x^2 + 1``, ``x^6 + x + 1`` over GF(2).
    """
    order = prime**degree
    for tail in product(range(prime), repeat=degree):
        powers, current = [1], [0] * (degree - 1) + [1]
        while True:
            lead, rest = current[0], [*current[1:], 0]
            current = [(c - lead * t) % prime for c, t in zip(rest, tail, strict=True)]
            power = sum(c * prime ** (degree - 1 - i) for i, c in enumerate(current))
            if power <= 1 or len(powers) == order - 1:
                break
            powers.append(power)
        if power == 1 and len(powers) == order - 1:
            return tuple(powers)
    raise AssertionError(f"no primitive polynomial of degree {degree} over GF({prime})")


def minimal_polynomial(degree: int, exponent: int) -> int:
    """Minimal polynomial over GF(2) of ``x^exponent`` in GF(2^degree), as an integer: bit i for ``x^i``."""
    powers = primitive_powers(2, degree)
    order = len(powers)
    logarithm = {power: i for i, power in enumerate(powers)}
    coefficients = [1]
    for conjugate in {exponent * 2**i % order for i in range(degree)}:
        scaled = [powers[(logarithm[c] + conjugate) % order] if c else 0 for c in coefficients]
        coefficients = [a ^ b for a, b in zip([*scaled, 0], [0, *coefficients], strict=True)]
    return sum(c << i for i, c in enumerate(coefficients))
