"""Short nonlinear codes as unions of cosets of a small linear code, by randomised greedy search."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

MAX_COSET_BITS = 14
_MAX_DIMENSION = 5
_LOOKED_AT = 12


class Quotient(NamedTuple):
    """A linear code and the least weight in each of its cosets."""

    code: Ints  # its words as integers
    representatives: Ints  # of the cosets whose words all have the distance from zero, or None
    least_weights: Ints  # of the coset of every word


def coset_union(num_words: int, bits: int, distance: int, rng: np.random.Generator) -> Ints | None:
    """``num_words`` words or a few more at the distance, as integers, from one random attempt, or None."""
    quotient = _random_quotient(bits, distance, min(_MAX_DIMENSION, num_words.bit_length() - 1), rng)
    needed = -(-num_words // len(quotient.code))
    chosen, left = [0], quotient.representatives
    while len(chosen) < needed and len(chosen) + len(left) >= needed:
        looked_at = rng.choice(left, min(len(left), _LOOKED_AT), replace=False)
        fits = quotient.least_weights[looked_at[:, None] ^ left[None, :]] >= distance
        following = int(fits.sum(axis=1).argmax())
        chosen.append(int(looked_at[following]))
        left = left[fits[following]]
    if len(chosen) < needed:
        return None
    return (np.array(chosen)[:, None] ^ quotient.code[None, :]).ravel()


def _random_quotient(bits: int, distance: int, max_dimension: int, rng: np.random.Generator) -> Quotient:
    """A random linear code of a random dimension up to ``max_dimension``, or as large as it grows at this distance."""
    everything = np.arange(2**bits)
    least_weights = np.bitwise_count(everything).astype(np.int64)
    representatives = everything
    code = np.zeros(1, np.int64)
    for _ in range(int(rng.integers(max_dimension + 1))):
        allowed = np.flatnonzero(least_weights >= distance)
        if len(allowed) == 0:
            break
        word = int(rng.choice(allowed))
        code = np.concatenate([code, code ^ word])
        least_weights = np.minimum(least_weights, least_weights[everything ^ word])
        representatives = np.minimum(representatives, representatives[everything ^ word])
    heads = np.flatnonzero((representatives == everything) & (least_weights >= distance))
    return Quotient(code, heads, least_weights)
