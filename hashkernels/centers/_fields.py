"""Quadratic residues in a finite field of odd order, prime powers included: all that Paley's constructions need."""

from __future__ import annotations

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
    for exponent, element in enumerate(_powers_of_primitive(prime, degree)):
        chi[element] = 1 if exponent % 2 == 0 else -1
    table = np.empty((order, order), np.int8)
    for row, element in enumerate(digits):
        table[row] = chi[((element - digits) % prime) @ place]
    return table


def _powers_of_primitive(prime: int, degree: int) -> list[int]:
    """``x^0, x^1, ...`` modulo the first monic polynomial whose root x generates the multiplicative group."""
    order = prime**degree
    for tail in product(range(prime), repeat=degree):
        powers, current = [], [0] * (degree - 1) + [1]
        for _ in range(order - 1):
            powers.append(sum(c * prime ** (degree - 1 - i) for i, c in enumerate(current)))
            lead, rest = current[0], [*current[1:], 0]
            current = [(c - lead * t) % prime for c, t in zip(rest, tail, strict=True)]
        if len(set(powers)) == order - 1 and 0 not in powers:
            return powers
    raise AssertionError(f"no primitive polynomial of degree {degree} over GF({prime})")
