"""Good linear codes by search among those with a prescribed automorphism.

The columns of a generator matrix of dimension k are points of GF(2)^k. A matrix T of order m permutes the points, and a
code whose columns are whole orbits of T has an automorphism of order m: quasi-cyclic codes and their kin, among which
most of the best known codes are found. Weights then need to be known for one word an orbit only, and choosing orbits so
that the least weight is large is a small combinatorial problem (Braun, Kohnert and Wassermann, IEEE Trans. Inform.
Theory 51, 2005), attacked here by tabu search.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashkernels.centers._linear import Bits, span

Ints = NDArray[np.int64]

MAX_SEARCH_DIMENSION = 13
_ORDERS = (7, 8, 9, 10, 11, 12, 14, 15, 16, 21, 31, 63)  # those that gave the best codes of dimension 7 to 10
_STEPS = 40


class OrbitProblem(NamedTuple):
    """Orbits of points under a companion matrix, and what each adds to the weight of a word of each orbit of words."""

    order: int
    orbits: list[Ints]  # of points, as integers
    sizes: Ints
    weights: NDArray[np.float64]  # [orbits of words, orbits of points]
    multiplicities: Ints  # words in each orbit of words


def random_problem(dimension: int, rng: np.random.Generator) -> OrbitProblem:
    """The orbits of the companion matrix of a random polynomial of degree ``dimension`` and of a good order."""
    while True:
        polynomial = int(rng.integers(2 ** (dimension - 1))) * 2 + 1  # below the leading coefficient; f(0) = 1
        order = _order(polynomial, dimension)
        if order is not None and order in _ORDERS:
            return _problem(polynomial, dimension, order)


def search_words(problem: OrbitProblem, dimension: int, bits: int, rng: np.random.Generator) -> Bits | None:
    """Words ``[2^dimension, bits]`` of the best code that one tabu search over unions of orbits finds, or None."""
    copies, rest = divmod(bits, 2**dimension - 1)
    chosen = _tabu_search(problem, rest, rng)
    if chosen is None:
        return None
    points = np.concatenate([np.arange(1, 2**dimension)] * copies + [problem.orbits[i] for i in chosen])
    generator = (points[None, :] >> np.arange(dimension)[:, None] & 1).astype(np.uint8)
    return _fill(span(generator), dimension, bits)


def _tabu_search(problem: OrbitProblem, bits: int, rng: np.random.Generator) -> list[int] | None:
    """Orbits of ``bits`` points or somewhat fewer, which make the least weight large."""
    taken: list[int] = []
    room = bits
    for orbit in rng.permutation(len(problem.sizes)):
        if problem.sizes[orbit] <= room:
            taken.append(int(orbit))
            room -= int(problem.sizes[orbit])
    if not taken:
        return None if bits else []
    chosen = np.array(taken)
    weights = problem.weights[:, chosen].sum(axis=1)
    penalties = np.exp2(-problem.weights)
    free = np.ones(len(problem.sizes), bool)
    free[chosen] = False
    tabu_until = np.zeros(len(problem.sizes), np.int64)
    best, best_key = taken, _quality(weights, problem)
    for step in range(_STEPS):
        without = np.exp2(weights.min() - weights[:, None] + problem.weights[:, chosen])
        costs = (problem.multiplicities[:, None] * without).T @ penalties  # [chosen, orbits], were the two exchanged
        allowed = (free & (tabu_until <= step)) & (problem.sizes[chosen][:, None] == problem.sizes[None, :])
        if not allowed.any():
            break
        place, entering = divmod(int(np.where(allowed, costs, np.inf).argmin()), costs.shape[1])
        leaving, chosen[place] = int(chosen[place]), entering
        free[leaving], free[entering] = True, False
        tabu_until[leaving] = step + 1 + int(rng.integers(1, 6))
        weights = weights - problem.weights[:, leaving] + problem.weights[:, entering]
        key = _quality(weights, problem)
        if key > best_key:
            best, best_key = chosen.tolist(), key
    return best


def _quality(weights: NDArray[np.float64], problem: OrbitProblem) -> tuple[float, int]:
    least = weights.min()
    return float(least), -int(problem.multiplicities[weights == least].sum())


def _fill(words: Bits, dimension: int, bits: int) -> Bits:
    """Add columns one by one, each the point that helps the lightest words most."""
    points = np.arange(1, 2**dimension)
    while words.shape[1] < bits:
        weights = words.sum(axis=1, dtype=np.int64)
        light = np.flatnonzero(weights == weights[1:].min())
        light = light[light > 0]
        helped = (np.bitwise_count(light[:, None] & points[None, :]) & 1).sum(axis=0, dtype=np.int64)
        column = np.bitwise_count(np.arange(2**dimension) & points[helped.argmax()]) & 1
        words = np.concatenate([words, column[:, None].astype(np.uint8)], axis=1)
    return words


def _problem(polynomial: int, dimension: int, order: int) -> OrbitProblem:
    numbers = np.arange(2**dimension)
    top = 2 ** (dimension - 1)
    times_x = ((numbers & (top - 1)) << 1) ^ np.where(numbers & top, polynomial, 0)
    transposed = (numbers >> 1) | (np.bitwise_count(numbers & polynomial).astype(np.int64) & 1) << (dimension - 1)
    orbits = _orbits(times_x)
    words = _orbits(transposed)
    representatives = np.array([word[0] for word in words])
    parity = (np.bitwise_count(representatives[:, None] & np.concatenate(orbits)[None, :]) & 1).astype(np.float64)
    sizes = np.array([len(orbit) for orbit in orbits])
    weights = np.add.reduceat(parity, np.concatenate([[0], np.cumsum(sizes)[:-1]]), axis=1)
    return OrbitProblem(order, orbits, sizes, weights, np.array([len(word) for word in words]))


def _orbits(step: Ints) -> list[Ints]:
    """Cycles of a permutation of 0, 1, ... but for that of 0."""
    following = step.tolist()
    seen = bytearray(len(following))
    orbits = []
    for start in range(1, len(following)):
        cycle = []
        while not seen[start]:
            seen[start] = 1
            cycle.append(start)
            start = following[start]
        if cycle:
            orbits.append(np.array(cycle))
    return orbits


def _order(polynomial: int, degree: int) -> int | None:
    """Multiplicative order of x modulo ``x^degree + polynomial``, None beyond the orders of interest."""
    power, top = 1, 1 << degree
    for exponent in range(1, max(_ORDERS) + 1):
        power <<= 1
        if power & top:
            power ^= top ^ polynomial
        if power == 1:
            return exponent
    return None
