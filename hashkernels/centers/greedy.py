"""Greedy centres improved by local search: what remains where algebra has nothing to offer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hashkernels._validation import check_bits, check_class_count, check_int
from hashkernels.centers._select import random_signs
from hashkernels.centers.bounds import gilbert_varshamov_distance, tightest_distance
from hashkernels.centers.codebook import Codebook, Words, distances_to, pack_words

_LEXICODE_BITS = 14
_SAMPLE = 4096
_MAX_SEARCH_WORDS = 512

__all__ = ["greedy_centers"]


def greedy_centers(num_classes: int, bits: int, *, seed: int = 0, steps: int = 2000) -> Codebook:
    """Centres picked one by one, each far from those before, then improved bit by bit.

    Up to 14 bits all words are gone through in a random order and each is taken that keeps the distance asked, for the
    greatest distance that yields enough (a lexicode in random order, which by Gilbert and Varshamov's argument reaches
    their bound). Beyond, the word farthest from those before is taken from a random sample. Local search then flips, in
    a word of the closest pair, the bit that most lowers ``sum 2^-distance`` over all pairs, with a short memory against
    going back, and keeps the best set seen; above 512 classes it is left out.

    Args:
        num_classes: at most ``2 ** bits``, and 16384 where a sample is taken.
        bits: code length.
        seed: the same seed gives the same centres.
        steps: flips of the local search.

    Raises:
        ValueError: too many classes.

    Example:
        >>> greedy_centers(8, 7).min_distance
        4
    """
    bits = check_bits(bits)
    num_classes = check_class_count(num_classes, bits, 2**_LEXICODE_BITS)
    rng = np.random.default_rng(check_int("seed", seed, 0))
    steps = check_int("steps", steps, 0)
    words = _lexicode(num_classes, bits, rng) if bits <= _LEXICODE_BITS else _farthest_sampled(num_classes, bits, rng)
    if num_classes <= _MAX_SEARCH_WORDS:
        words = improve(words, steps, rng)
    return Codebook(words, construction="greedy choice and local search")


def improve(words: Words, steps: int, rng: np.random.Generator) -> Words:
    """Tabu search over single flips; the words of the greatest minimum distance seen, with the fewest pairs at it."""
    words = words.copy()
    bits = words.shape[1]
    products = words.astype(np.int64) @ words.T.astype(np.int64)
    distances = (bits - products) // 2
    np.fill_diagonal(distances, 2 * bits)
    tabu_until = np.zeros(words.shape, np.int64)
    best, best_key = words.copy(), _key(distances)
    for step in range(steps):
        closest = np.argwhere(distances == distances.min())
        row = int(closest[rng.integers(len(closest)), 0])
        nearness = np.exp2(distances.min() - distances[row].astype(np.float64))
        same = (words == words[row]).astype(np.float64)  # a flip adds one to the distance where bits agree
        costs = nearness.sum() * 2 - 1.5 * (nearness @ same)
        costs[tabu_until[row] > step] = np.inf
        column = int(costs.argmin())
        change = np.where(words[:, column] == words[row, column], 1, -1)
        change[row] = 0
        distances[row] += change
        distances[:, row] += change
        words[row, column] *= -1
        tabu_until[row, column] = step + 2 + int(rng.integers(1, max(2, bits // 2)))
        key = _key(distances)
        if key > best_key:
            best, best_key = words.copy(), key
    return best


def _key(distances: NDArray[np.int64]) -> tuple[int, int]:
    least = int(distances.min())
    return least, -int((distances == least).sum())


def _lexicode(num_words: int, bits: int, rng: np.random.Generator) -> Words:
    everything = (np.arange(2**bits)[:, None] >> np.arange(bits) & 1).astype(np.int8) * 2 - 1
    packed = pack_words(everything > 0)
    floor = gilbert_varshamov_distance(bits=bits, num_classes=num_words)
    for distance in range(tightest_distance(bits=bits, num_classes=num_words, linear_program=False), floor - 1, -1):
        order = rng.permutation(len(packed))
        left = order
        chosen: list[int] = []
        while len(left) and len(chosen) < num_words:
            chosen.append(int(left[0]))
            left = left[distances_to(packed[left[0]], packed[left]) >= distance]
        if len(chosen) == num_words:
            return everything[chosen]
    raise AssertionError("the Gilbert-Varshamov distance is always reached")


def _farthest_sampled(num_words: int, bits: int, rng: np.random.Generator) -> Words:
    sample = random_signs(max(_SAMPLE, 2 * num_words) * bits, rng).reshape(-1, bits)
    sample = np.unique(sample, axis=0)
    packed = pack_words(sample > 0)
    chosen = [int(rng.integers(len(sample)))]
    nearest = distances_to(packed[chosen[0]], packed)
    while len(chosen) < num_words:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, distances_to(packed[chosen[-1]], packed))
    return sample[chosen]
