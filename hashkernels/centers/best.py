"""The best centres that all constructions and searches together find."""

from __future__ import annotations

import time
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashkernels._validation import check_bits, check_class_count, check_int, check_real
from hashkernels.centers._automorphism import MAX_SEARCH_DIMENSION, random_problem, search_words
from hashkernels.centers._cosets import MAX_COSET_BITS, coset_union
from hashkernels.centers._kerdock import KERDOCK_LENGTHS, kerdock_words
from hashkernels.centers._linear import MAX_DIMENSION, dimension_for, extend, minimum_weight, puncture
from hashkernels.centers._select import random_signs, scramble, select_words
from hashkernels.centers.bch import bch_words
from hashkernels.centers.bounds import tightest_distance
from hashkernels.centers.codebook import Codebook, Words, minimum_distance
from hashkernels.centers.greedy import greedy_centers
from hashkernels.centers.hadamard import has_hadamard_matrix, normalised_hadamard
from hashkernels.centers.levenshtein import levenshtein_centers

_SEARCH_ROUNDS = 2000
_SEARCH_WORK = 2**20  # rounds times words: a few seconds
_COSET_ROUNDS = 200
_GREEDY_ROUNDS = 6
_MAX_GREEDY_CLASSES = 256
_NEARBY = 8

__all__ = ["best_centers"]


def best_centers(num_classes: int, bits: int, *, time_limit: float = 20.0, seed: int = 0) -> Codebook:
    """The centres of greatest minimum distance that the constructions and searches of this package find.

    In this order: Levenshtein's construction; Hadamard codes of about this length; Kerdock's codes, shortened and
    punctured; BCH codes; unions of cosets (up to 14 bits); greedy choice and local search (up to 256 classes); and a
    search over linear codes with a prescribed automorphism, such as quasi-cyclic ones (up to 8192 classes). It ends
    when the distance meets the upper bound, when a fixed number of rounds is over (a few seconds in the usual sizes)
    or at the time limit.

    ``min_distance`` of the result is counted over all pairs; ``upper_bound`` is `bounds.tightest_distance`, with its
    linear program where scipy is installed; ``construction`` says where the words come from.

    Args:
        num_classes: at most ``2 ** min(bits, 18)``.
        bits: code length.
        time_limit: seconds after which no further attempt is started. The first attempts are always made.
        seed: the same seed gives the same centres, unless the time limit cut the search.

    Raises:
        ValueError: too many classes.

    Example:
        >>> book = best_centers(100, 16)
        >>> book.min_distance, book.upper_bound
        (6, 6)
    """
    bits = check_bits(bits)
    num_classes = check_class_count(num_classes, bits, 2**MAX_DIMENSION)
    deadline = time.monotonic() + check_real("time_limit", time_limit, 0)
    rng = np.random.default_rng(check_int("seed", seed, 0))
    bound = tightest_distance(bits=bits, num_classes=num_classes, linear_program=find_spec("scipy") is not None)
    search = _Search(num_classes, bits, bound, deadline, rng)
    for attempt in (_levenshtein, _hadamard, _kerdock, _bch, _coset_unions, _greedy, _linear_codes):
        attempt(search)
        if search.distance == bound:
            break
    assert search.words is not None
    return Codebook(scramble(search.words, rng), construction=search.recipe, upper_bound=bound)


class _Search:
    """The best words so far, and when to stop looking."""

    def __init__(self, num_classes: int, bits: int, bound: int, deadline: float, rng: np.random.Generator) -> None:
        self.num_classes, self.bits, self.bound, self.deadline, self.rng = num_classes, bits, bound, deadline, rng
        self.words: Words | None = None
        self.distance = -1
        self.recipe = ""

    @property
    def over(self) -> bool:
        """Nothing better can be found, or the time is up."""
        return self.distance >= self.bound or time.monotonic() > self.deadline

    def offer(self, pool: NDArray[Any], distance: int, recipe: str) -> None:
        """Take ``num_classes`` words of ``pool``, whose minimum distance is ``distance``, if that is progress."""
        if distance > self.distance:
            self.words = select_words(pool, self.num_classes, self.rng)
            self.distance = minimum_distance(self.words)
            self.recipe = recipe


def _levenshtein(search: _Search) -> None:
    """Optimal where it applies, which an exception tells."""
    try:
        book = levenshtein_centers(search.num_classes, search.bits, seed=int(search.rng.integers(2**31)))
    except ValueError:
        return
    search.offer(np.asarray(book), book.min_distance, book.construction)


def _hadamard(search: _Search) -> None:
    """Rows of Hadamard matrices of orders about ``bits``, punctured or padded with random columns."""
    nearby = range(max(4, search.bits - _NEARBY), search.bits + _NEARBY + 1)
    for order in sorted(nearby, key=lambda order: abs(order - search.bits)):
        if search.num_classes > 2 * order or not has_hadamard_matrix(order):
            continue
        matrix = normalised_hadamard(order)
        constant_column_left_out = matrix[:, 1:]
        pool = constant_column_left_out if search.num_classes <= order else np.concatenate([matrix, -matrix])
        missing = search.bits - pool.shape[1]
        if missing > 0:
            extra = random_signs(len(pool) * missing, search.rng).reshape(len(pool), missing)
            pool = np.concatenate([pool, extra], axis=1)
        pool = pool[:, : search.bits]
        search.offer(pool, minimum_distance(pool), f"Hadamard matrix of order {order}, brought to {search.bits} bits")


def _kerdock(search: _Search) -> None:
    for length in KERDOCK_LENGTHS:
        removed = length - search.bits
        if removed < 0 or search.num_classes > length**2:
            continue
        pool, shortened = kerdock_words(length), 0
        while shortened < removed:
            kept = pool[pool[:, 0] == 0, 1:]
            if len(kept) < search.num_classes:
                break
            pool, shortened = kept, shortened + 1
        pool = pool[:, removed - shortened :]
        if len(np.unique(pool, axis=0)) == len(pool):
            search.offer(pool, minimum_distance(pool), f"Kerdock code of {length} bits, brought to {search.bits} bits")


def _bch(search: _Search) -> None:
    words, recipe = bch_words(dimension_for(search.num_classes), search.bits, search.rng)
    search.offer(words, minimum_weight(words), recipe)


def _coset_unions(search: _Search) -> None:
    if search.bits > MAX_COSET_BITS:
        return
    for _ in range(_COSET_ROUNDS):
        if search.over:
            return
        found = coset_union(search.num_classes, search.bits, search.distance + 1, search.rng)
        if found is not None:
            pool = (found[:, None] >> np.arange(search.bits) & 1).astype(np.uint8)
            search.offer(pool, search.distance + 1, "union of cosets of a linear code")


def _greedy(search: _Search) -> None:
    if search.num_classes > _MAX_GREEDY_CLASSES:
        return
    for _ in range(_GREEDY_ROUNDS):
        if search.over:
            return
        book = greedy_centers(search.num_classes, search.bits, seed=int(search.rng.integers(2**31)))
        search.offer(np.asarray(book), book.min_distance, book.construction)


def _linear_codes(search: _Search) -> None:
    """Codes with a prescribed automorphism: of this length, of one bit less plus parity, and of one more, punctured."""
    dimension = dimension_for(search.num_classes)
    if not 3 <= dimension <= MAX_SEARCH_DIMENSION:
        return
    for attempt in range(min(_SEARCH_ROUNDS, _SEARCH_WORK >> dimension)):
        if search.over:
            return
        problem = random_problem(dimension, search.rng)
        change = (0, -1, 1)[attempt % 3]
        words = search_words(problem, dimension, search.bits + change, search.rng)
        if words is None:
            continue
        if change == -1:
            words = extend(words)
        elif change == 1:
            words = puncture(words, 1)
        recipe = f"linear code [{search.bits}, {dimension}] with an automorphism of order {problem.order}"
        search.offer(words, minimum_weight(words), recipe)
