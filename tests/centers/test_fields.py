from __future__ import annotations

import galois
import numpy as np
import pytest

from hashkernels.centers._fields import minimal_polynomial, prime_power, primitive_powers, quadratic_character


@pytest.mark.parametrize("degree", range(2, 13))
def test_binary_fields_use_the_first_primitive_polynomial(degree: int) -> None:
    powers = primitive_powers(2, degree)
    tail = powers[degree]  # x^m is what the polynomial leaves below its leading term
    assert 2**degree | tail == int(galois.primitive_poly(2, degree, method="min"))
    assert sorted(powers) == list(range(1, 2**degree))


@pytest.mark.parametrize(
    ("degree", "exponent", "octal"),
    # Lin and Costello, Error Control Coding, appendix: minimal polynomials in GF(16), GF(32) and GF(64)
    [(4, 1, "23"), (4, 3, "37"), (4, 5, "7"), (4, 7, "31"), (5, 3, "75"), (5, 5, "67"), (6, 3, "127"), (6, 5, "147")],
)
def test_minimal_polynomials_are_the_published_ones(degree: int, exponent: int, octal: str) -> None:
    assert minimal_polynomial(degree, exponent) == int(octal, 8)


@pytest.mark.parametrize(("prime", "degree"), [(3, 1), (7, 1), (13, 1), (3, 2), (5, 2), (3, 3), (7, 2), (3, 5)])
def test_quadratic_character_matrix_is_jacobsthals(prime: int, degree: int) -> None:
    order = prime**degree
    matrix = quadratic_character(prime, degree).astype(int)
    assert np.array_equal(matrix @ matrix.T, order * np.eye(order) - np.ones((order, order)))
    assert np.array_equal(matrix.T, matrix if order % 4 == 1 else -matrix)
    if degree == 1:
        squares = {x * x % prime for x in range(1, prime)}
        assert [matrix[a, 0] for a in range(1, prime)] == [1 if a in squares else -1 for a in range(1, prime)]


def test_prime_powers_are_told_from_other_numbers() -> None:
    found = {n: prime_power(n) for n in range(40)}
    assert {n for n, power in found.items() if power} == {
        *(2, 3, 4, 5, 7, 8, 9, 11, 13, 16, 17, 19, 23, 25, 27, 29, 31, 32, 37)
    }
    assert (found[9], found[32], found[37]) == ((3, 2), (2, 5), (37, 1))
