"""Which words of a larger code to take, and how to spread what they say over the bits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashkernels.centers.codebook import Words, distances_to, minimum_distance, pack_words

_DRAWS = 8
_MANY_WORDS = 4096
_MAX_GREEDY_COST = 20_000_000


def select_words(pool: NDArray[Any], num_words: int, rng: np.random.Generator) -> Words:
    """``num_words`` rows of ``pool`` (0/1 or -1/+1), far apart and with few constant, repeated or unbalanced columns.

    Several random draws and, where that is cheap, greedy ones, each taking the word farthest from those before; the
    greatest minimum distance wins, then the fewest constant and repeated columns, then balance.
    """
    signs = np.where(pool > 0, 1, -1).astype(np.int8)
    if len(signs) == num_words:
        return rng.permutation(signs)
    num_draws = _DRAWS if num_words <= _MANY_WORDS else 1
    draws = [signs[rng.choice(len(signs), num_words, replace=False)] for _ in range(num_draws)]
    if len(signs) * num_words <= _MAX_GREEDY_COST:
        packed = pack_words(signs > 0)
        draws += [signs[_farthest(packed, num_words, rng)] for _ in range(2)]
    return min(draws, key=lambda words: (-minimum_distance(words), *dead_weight(words)))


def scramble(words: Words, rng: np.random.Generator) -> Words:
    """Random order and signs of the columns: no distance changes."""
    order = rng.permutation(words.shape[1])
    return words[:, order] * random_signs(words.shape[1], rng)


def draws_within_budget(num_words: int, bits: int) -> int:
    """How many random sets to weigh by `dead_weight`: 32 of usual sizes, fewer where that would take seconds."""
    return max(1, min(32, 2_000_000 // (num_words * bits)))


def random_signs(count: int, rng: np.random.Generator) -> Words:
    """-1 and +1 with equal chances."""
    return (2 * rng.integers(0, 2, count) - 1).astype(np.int8)


def dead_weight(words: Words) -> tuple[int, int, int]:
    """Constant columns, repeated columns, and the sum of squared column sums: the less the better."""
    constant = int((words == words[0]).all(axis=0).sum())
    repeated = words.shape[1] - len(np.unique((words * words[0]).T, axis=0))
    return constant, repeated, int((words.sum(axis=0, dtype=np.int64) ** 2).sum())


def _farthest(packed: NDArray[np.uint64], num_words: int, rng: np.random.Generator) -> NDArray[np.int64]:
    chosen = [int(rng.integers(len(packed)))]
    nearest = distances_to(packed[chosen[0]], packed)
    while len(chosen) < num_words:
        farthest = np.flatnonzero(nearest == nearest.max())
        chosen.append(int(rng.choice(farthest)))
        nearest = np.minimum(nearest, distances_to(packed[chosen[-1]], packed))
    return np.array(chosen)
