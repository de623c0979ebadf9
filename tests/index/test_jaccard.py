"""Jaccard distances against exact fractions, their order against a sort of them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

import hashkernels as hk
from hashkernels import _ops
from hashkernels.index import jaccard


def fingerprints(count: int, bits: int, density: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((count, bits)) < density


def fraction(a: np.ndarray, b: np.ndarray) -> Fraction:
    either = int((a | b).sum())
    return Fraction(int((a ^ b).sum()), either) if either else Fraction(0)


@pytest.mark.parametrize(("bits", "density"), [(9, 0.3), (64, 0.1), (166, 0.2), (2048, 0.02)])
def test_the_order_is_that_of_fractions(isa, monkeypatch, bits, density):
    monkeypatch.setattr(jaccard, "_DISTANCES_AT_ONCE", 3 * 200)
    monkeypatch.setattr(jaccard, "_QUERIES_AT_ONCE", 3)
    database, queries = fingerprints(700, bits, density, 0), fingerprints(4, bits, density, 1)
    database[5] = queries[0] = False
    index = hk.BinaryIndex(bits)
    index.add(np.packbits(database, axis=1))
    packed = np.packbits(queries, axis=1)
    exact = [[fraction(query, row) for row in database] for query in queries]
    mask = np.arange(700) % 3 > 0
    for k, chosen in ((1, None), (40, None), (700, None), (60, mask)):
        found = index.jaccard_search(packed, k, filter=chosen)
        for row, distances, positions in zip(exact, found.distances, found.indices, strict=True):
            allowed = range(700) if chosen is None else np.flatnonzero(mask).tolist()
            best = sorted(allowed, key=lambda p: (row[p], p))[:k]
            assert positions.tolist() == best
            assert distances.tolist() == [row[p].numerator / row[p].denominator for p in best]
    np.testing.assert_allclose(
        np.sort(cdist(queries, database, "jaccard"), axis=1), index.jaccard_search(packed, 700).distances, atol=1e-12
    )
    limit = float(np.quantile([float(x) for x in exact[1]], 0.05))
    within = index.jaccard_range_search(packed, limit)
    for q, row in enumerate(exact):
        part = slice(within.offsets[q], within.offsets[q + 1])
        best = sorted((p for p in range(700) if float(row[p]) <= limit), key=lambda p: (row[p], p))
        assert within.indices[part].tolist() == best


def test_a_similarity_is_a_distance_of_one_division():
    index = hk.BinaryIndex(64)
    index.add(np.packbits(np.tri(64, 64, 0, dtype=np.uint8), axis=1))
    for either in range(1, 65):
        query = np.packbits(np.arange(64)[None] < either, axis=1)
        for both in range(1, either + 1):
            within = index.jaccard_range_search(query, (either - both) / either, filter=np.array([both - 1]))
            assert within.indices.tolist() == [both - 1]
    # 4 / 5, of which 1 less its float64 falls short.
    query, code = np.packbits(np.arange(64)[None] < 5, axis=1), np.array([3])
    assert index.jaccard_range_search(query, 0.2, filter=code).indices.tolist() == [3]
    assert index.jaccard_range_search(query, 1 - 0.8, filter=code).indices.tolist() == []


def test_many_queries_are_not_all_compared_at_once(monkeypatch):
    sizes, compare = [], _ops.hamming_distance

    def counted(*arguments):
        distances = compare(*arguments)
        sizes.append(distances.numel())
        return distances

    index = hk.BinaryIndex(8)
    index.add(np.arange(256, dtype=np.uint8).repeat(3)[:, None])
    queries = (np.arange(12_000) % 256).astype(np.uint8)[:, None]
    monkeypatch.setattr(_ops, "hamming_distance", counted)
    for found in (index.jaccard_search(queries, 3).indices.ravel(), index.jaccard_range_search(queries, 0).indices):
        np.testing.assert_array_equal(found // 3, queries.ravel().repeat(3))
    assert max(sizes) <= 1 << 22
    assert len(sizes) > 2


def test_ids_and_what_a_filter_leaves():
    index = hk.BinaryIndex(8)
    index.add_with_ids(torch.tensor([[1], [3], [7]], dtype=torch.uint8), torch.tensor([10, 20, 30]))
    found = index.jaccard_search(torch.tensor([[7]], dtype=torch.uint8), 3, filter=torch.tensor([10, 20]))
    assert found.indices.tolist() == [[20, 10, -1]]
    assert found.distances.tolist() == [[1 / 3, 2 / 3, float("inf")]]
    with pytest.raises(ValueError, match=r"distance must be in 0\.\.1"):
        index.jaccard_range_search(torch.tensor([[7]], dtype=torch.uint8), 1.5)
