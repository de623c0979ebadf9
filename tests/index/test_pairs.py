"""The self-join against brute force, its groups against a search by hand."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import hashkernels as hk
from hashkernels.index import pairs


def make(count: int, bits: int, seed: int = 0) -> np.ndarray:
    return np.packbits(np.random.default_rng(seed).integers(0, 2, (count, bits), dtype=np.uint8), axis=1)


@cache
def joined(radius: int) -> tuple[np.ndarray, ...]:
    """The pairs among 300 codes, one end, the other end and the distance, then the group of each code."""
    codes = make(300, 12)
    distances = np.bitwise_count(codes[:, None] ^ codes[None]).sum(2)
    first, second = np.nonzero(np.triu(distances <= radius, 1))
    group = list(range(300))
    for a, b in zip(first, second, strict=True):
        group = [min(group[a], group[b]) if g in (group[a], group[b]) else g for g in group]
    return first, second, distances[first, second], np.unique(group, return_inverse=True)[1]


@pytest.mark.parametrize("radius", [0, 2, 5])
@pytest.mark.parametrize("with_ids", [False, True])
def test_pairs_are_those_of_the_whole_matrix(isa, monkeypatch, radius, with_ids):
    monkeypatch.setattr(pairs, "_QUERIES_AT_ONCE", 64)
    codes = make(300, 12)
    first, second, distances, groups = joined(radius)
    index = hk.BinaryIndex(12)
    names = np.arange(300)
    if with_ids:
        names = names[::-1] * 5
        index.add_with_ids(codes, names)
    else:
        index.add(codes)
    found = index.pairs_within(radius)
    np.testing.assert_array_equal(found.first, names[first])
    np.testing.assert_array_equal(found.second, names[second])
    np.testing.assert_array_equal(found.distances, distances)
    np.testing.assert_array_equal(index.components_within(radius), groups)


def test_nothing_to_join():
    index = hk.BinaryIndex(8)
    assert [len(part) for part in index.pairs_within(3)] == [0, 0, 0]
    assert len(index.components_within(3)) == 0
    with pytest.raises(ValueError, match=r"radius must be in 0\.\.8, got 9"):
        index.pairs_within(9)
    for join in (index.pairs_within, index.components_within):
        with pytest.raises(ValueError, match=r"threads must be in 1\.\.4096, got 0"):
            join(3, threads=0)
