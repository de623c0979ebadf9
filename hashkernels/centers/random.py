"""Random balanced centres, the fall-back of central similarity quantization."""

from __future__ import annotations

from math import comb

import numpy as np

from hashkernels._validation import check_bits, check_class_count, check_int, counted
from hashkernels.centers.codebook import Codebook, Words, minimum_distance

__all__ = ["random_centers"]


def random_centers(
    num_classes: int, bits: int, *, seed: int = 0, min_distance: int | None = None, max_draws: int = 20
) -> Codebook:
    """Distinct random centres, each with exactly ``bits // 2`` entries of -1.

    Whole sets are drawn anew, as central similarity quantization does (Yuan et al., CVPR 2020, algorithm 1), until one
    has the asked minimum distance; without one asked, the best of ``max_draws`` sets is taken. `best_centers`
    reaches far greater distances: these are for comparison.

    Args:
        num_classes: at most the number of balanced words, ``C(bits, bits // 2)``.
        bits: code length.
        seed: the same seed gives the same centres.
        min_distance: minimum distance at which to stop drawing; a set that misses it is not returned.
        max_draws: number of sets drawn at most.

    Raises:
        ValueError: more classes than balanced words, or no set with ``min_distance`` in ``max_draws`` draws.

    Example:
        >>> book = random_centers(100, 64, seed=1)
        >>> np.unique(np.asarray(book).sum(axis=1)).tolist()
        [0]
    """
    bits = check_bits(bits)
    num_classes = check_class_count(num_classes, bits)
    seed = check_int("seed", seed, 0)
    max_draws = check_int("max_draws", max_draws, 1)
    if min_distance is not None:
        min_distance = check_int("min_distance", min_distance, 1, bits)
    balanced = comb(bits, bits // 2)
    if num_classes > balanced:
        raise ValueError(
            f"num_classes must be at most {balanced}, the number of balanced codes of {counted(bits, 'bit')}, "
            f"got {num_classes}"
        )
    rng = np.random.default_rng(seed)
    best, best_distance, draws = None, 0, 0
    while draws < max_draws and (min_distance is None or best_distance < min_distance):
        draws += 1
        words = _distinct_balanced(num_classes, bits, rng)
        distance = minimum_distance(words)
        if distance > best_distance:
            best, best_distance = words, distance
    assert best is not None
    if min_distance is not None and best_distance < min_distance:
        raise ValueError(
            f"min_distance must be one that {max_draws} random sets of {num_classes} codes of {bits} bits reach "
            f"(the best has {best_distance}), got {min_distance}"
        )
    return Codebook(best, construction=f"random balanced words, best of {draws} set{'s' if draws > 1 else ''}")


def _distinct_balanced(num_words: int, bits: int, rng: np.random.Generator) -> Words:
    template = np.ones(bits, np.int8)
    template[: bits // 2] = -1
    words = np.empty((0, bits), np.int8)
    while len(words) < num_words:
        fresh = rng.permuted(np.tile(template, (num_words, 1)), axis=1)
        words = np.concatenate([words, fresh])
        _, first = np.unique(np.packbits(words > 0, axis=1), axis=0, return_index=True)
        words = words[np.sort(first)]
    return words[:num_words]
