"""Whatever an index builds besides its codes, and whichever way the planner takes, the results are those of a stable
sort."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import hashkernels as hk
from hashkernels import _loader, _ops

KINDS = ("uniform", "clustered", "equal")


def make_codes(count: int, bits: int, kind: str, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    if kind == "uniform":
        ones = random.random((count, bits)) < 0.5
    elif kind == "equal":
        ones = np.ones((count, bits), bool)
    else:
        centers = np.random.default_rng(bits).random((4, bits)) < 0.5
        ones = centers[random.integers(0, 4, count)] ^ (random.random((count, bits)) < 0.04)
    return np.packbits(ones, axis=1)


class Exact:
    """What NumPy finds."""

    def __init__(self, queries: np.ndarray, codes: np.ndarray, mask: np.ndarray | None) -> None:
        distances = np.stack([np.bitwise_count(query ^ codes).sum(-1, dtype=np.int64) for query in queries])
        if mask is not None:
            distances[:, ~mask] = 2**31 - 1
        self.order = distances.argsort(axis=1, kind="stable")
        self.distances = np.take_along_axis(distances, self.order, axis=1)
        self.order[self.distances == 2**31 - 1] = -1

    def check_nearest(self, distances: np.ndarray, indices: np.ndarray, rows: np.ndarray) -> None:
        k = distances.shape[1]
        np.testing.assert_array_equal(distances[rows], self.distances[rows, :k])
        np.testing.assert_array_equal(indices[rows], self.order[rows, :k])

    def check_within(self, found: tuple[np.ndarray, ...], radius: int, max_results: int | None) -> None:
        offsets, distances, indices, counts = found
        kept = self.distances <= radius
        np.testing.assert_array_equal(counts, kept.sum(1))
        if max_results is not None:
            kept &= kept.cumsum(1) <= max_results
        np.testing.assert_array_equal(offsets, [0, *kept.sum(1).cumsum()])
        np.testing.assert_array_equal(distances, self.distances[kept])
        np.testing.assert_array_equal(indices, self.order[kept])


@given(
    bits=st.integers(1, 300),
    count=st.sampled_from([1, 2, 40, 511, 512, 513, 2100]),
    kind=st.sampled_from(KINDS),
    share=st.sampled_from([None, 0.0, 0.2]),
    data=st.data(),
)
def test_tables_find_what_a_sort_finds(
    isa: str, bits: int, count: int, kind: str, share: float | None, data: st.DataObject
) -> None:
    if isa == _loader.REFERENCE:
        return
    threads = data.draw(st.sampled_from([1, 2]), "threads")
    codes = make_codes(count, bits, kind, 1)
    queries = np.concatenate((make_codes(7, bits, kind, 2), codes[:3]))
    mask = None if share is None else np.random.default_rng(3).random(count) < share
    exact = Exact(queries, codes, mask)
    planes = torch.zeros((-(-count // 512), 8 * codes.shape[1], 8), dtype=torch.int64)
    _ops.slice_codes(torch.from_numpy(codes), 0, planes)
    tables = _ops.build_hash_tables(planes, count, bits, threads)
    tensors, allowed = torch.from_numpy(queries), None if mask is None else torch.from_numpy(mask)
    radius = data.draw(st.integers(0, min(bits, 40)), "radius")
    max_results = data.draw(st.sampled_from([None, 1, 5]), "max_results")
    found = _ops.hash_range_search(tensors, tables, radius, allowed, max_results, threads)
    exact.check_within(tuple(part.numpy() for part in found), radius, max_results)
    assert torch.equal(_ops.hash_range_count(tensors, tables, radius, allowed, threads), found[3])
    assert _ops.hash_range_search(tensors, tables, radius, allowed, max_results, threads, 1.0) is None
    assert _ops.hash_range_count(tensors, tables, radius, allowed, threads, 1.0) is None
    most = 10.0 ** data.draw(st.integers(1, 6), "most work")
    counts = _ops.hash_range_count(tensors, tables, radius, allowed, threads, most)
    assert counts is None or torch.equal(counts, found[3])
    k = data.draw(st.integers(1, count), "k")
    distances, indices, left = (part.numpy() for part in _ops.hash_topk(tensors, tables, k, allowed, 1e6, threads))
    assert (np.diff(left) > 0).all()
    exact.check_nearest(distances, indices, ~np.isin(np.arange(len(queries)), left))


@pytest.mark.parametrize("bits", [12, 65, 256])
@pytest.mark.parametrize("kind", KINDS)
def test_every_structure_gives_the_same_results(isa: str, bits: int, kind: str) -> None:
    codes, queries = make_codes(1500, bits, kind, 1), make_codes(70, bits, kind, 2)
    exact = Exact(queries, codes, None)
    every = np.ones(len(queries), bool)
    for structure in ("auto", "scan", "hash"):
        index = hk.BinaryIndex(bits, structure=structure)
        for start, stop in ((0, 1000), (1000, 1500)):
            index.add(codes[start:stop])
            index.search(queries, 1)  # builds tables, which the next addition has to drop
        for k in (1, 20, 1500):
            exact.check_nearest(*index.search(queries, k), every)
        for radius in (0, 2, bits // 4):
            found = index.range_search(queries, radius, max_results=50)
            exact.check_within(tuple(found), radius, 50)
            np.testing.assert_array_equal(index.range_count(queries, radius), found.counts)


@pytest.mark.parametrize(
    ("bits", "count"), [*((bits, 1500) for bits in (1, 7, 9, 12, 15, 17, 44, 65)), (17, 70_000), (4096, 20)]
)
@pytest.mark.parametrize("bitorder", ["big", "little"])
def test_structures_of_either_bit_order(isa: str, bits: int, count: int, bitorder: Literal["big", "little"]) -> None:
    generator = np.random.default_rng(bits)
    signs = generator.random((count + 70, bits)) < 0.5
    codes = np.packbits(signs, axis=1, bitorder=bitorder)
    queries, codes = codes[count:], codes[:count]
    exact, every = Exact(queries, codes, None), np.ones(70, bool)
    for structure in ("auto", "hash"):
        index = hk.BinaryIndex(bits, bitorder=bitorder, structure=structure)
        index.add(codes)
        index.prepare()
        exact.check_nearest(*index.search(queries, min(count, 4)), every)
        found = index.range_search(queries, min(bits // 4, 3), max_results=50)
        exact.check_within(tuple(found), min(bits // 4, 3), 50)
        np.testing.assert_array_equal(index.range_count(queries, min(bits // 4, 3)), found.counts)


def test_a_query_that_reads_too_much_is_given_up_and_scanned(monkeypatch: pytest.MonkeyPatch) -> None:
    codes, queries = make_codes(5000, 64, "uniform", 1), make_codes(40, 64, "uniform", 2)
    queries[::2] = codes[:20]
    index = hk.BinaryIndex(64, structure="hash")
    index.add(codes)
    calls = []

    def spy(*arguments: object) -> object:
        found = original(*arguments)
        calls.append(found[2])
        return found

    original = _ops.hash_topk
    monkeypatch.setattr(_ops, "hash_topk", spy)
    monkeypatch.setattr(_ops, "are_plain_codes", lambda *_: False)
    exact = Exact(queries, codes, None)
    tensors = torch.from_numpy(queries)
    for asked, k, whose in ((tensors[:1], 1, np.array([0])), (tensors, 2, np.ones(40, bool))):
        distances, indices = index.search(asked, k)
        exact.check_nearest(distances.numpy(), indices.numpy(), whose)
    assert calls[0].tolist() == []
    assert len(calls[1])


def test_hopeless_queries_are_given_up_early_and_tried_ever_more_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    if _loader.isa() == _loader.REFERENCE:
        return
    index = hk.BinaryIndex(1024, structure="hash")
    index.add(make_codes(60_000, 1024, "uniform", 1))
    index.prepare()
    query = torch.from_numpy(make_codes(1, 1024, "uniform", 2))
    calls: dict[str, list[tuple[object, ...]]] = {"hash_topk": [], "sliced_topk": []}

    def noted(name: str) -> None:
        original = getattr(_ops, name)

        def call(*arguments: object) -> object:
            calls[name].append(arguments)
            return original(*arguments)

        monkeypatch.setattr(_ops, name, call)

    for name in calls:
        noted(name)
    monkeypatch.setattr(_ops, "are_plain_codes", lambda *_: False)
    for _ in range(40):
        index.search(query, 10, threads=1)
    assert len(calls["sliced_topk"]) == 40
    assert 2 <= len(calls["hash_topk"]) <= 6
    assert {max_work for *_, max_work, _ in calls["hash_topk"]} == {_ops.most_hash_work(128, 1, 60_000, 1)}


def test_a_radius_that_tables_do_not_answer_is_tried_ever_more_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    has_tables = _loader.isa() != _loader.REFERENCE
    codes, queries = make_codes(20_000, 64, "uniform", 1), make_codes(4, 64, "uniform", 2)
    index = hk.BinaryIndex(64, structure="hash")
    index.add(codes)
    index.prepare()
    tried = []
    original = _ops.find_in_tables

    def find(*arguments: object) -> object:
        found = original(*arguments)
        tried.append(found is not None)
        return found

    monkeypatch.setattr(_ops, "find_in_tables", find)
    exact = Exact(queries, codes, None)
    for _ in range(40):
        exact.check_within((*index.range_search(queries, 25), index.range_count(queries, 25)), 25, None)
    assert 0 < len(tried) < 10 if has_tables else not tried
    assert not any(tried)
    tried.clear()
    for _ in range(5):
        exact.check_within((*index.range_search(queries, 1), index.range_count(queries, 1)), 1, None)
    assert tried == [True] * (10 if has_tables else 0)


def test_plans_are_explained_and_prices_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    if _loader.isa() == _loader.REFERENCE:
        return
    codes = make_codes(40_000, 64, "clustered", 1)
    queries = codes[:100]
    index = hk.BinaryIndex(64, structure="hash")
    index.add(codes)
    assert index.range_search(queries, 0, explain=True) == "sums"  # nothing is built yet
    index.prepare()
    assert index.structure_bytes > 16 * len(codes)
    for price, method in ((1e9, "hash"), (1e-3, "sums")):
        monkeypatch.setattr(_ops, "most_hash_work", lambda *_, price=price: price)
        assert index.range_search(queries, 1, explain=True) == method
        assert index.search(queries, 1, explain=True) == method
    index.add(codes[:1])
    assert index.structure_bytes == 0


@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_clusters_that_fill_buckets_are_scanned(noise: float) -> None:
    if _loader.isa() == _loader.REFERENCE:
        return
    random = np.random.default_rng(1)
    centers = random.random((10, 64)) < 0.5
    signs = centers[random.integers(0, 10, 50_100)] ^ (random.random((50_100, 64)) < noise)
    codes = np.packbits(signs, axis=1)
    queries, codes = codes[:100], codes[100:]
    index = hk.BinaryIndex(64, structure="hash")
    index.add(codes)
    index.prepare()
    for k in (1, 10, 100):
        assert index.search(queries, k, explain=True) == "sums"
    assert index.range_search(queries, 2, explain=True) == "sums"
    exact = Exact(queries[:20], codes, None)
    exact.check_nearest(*index.search(queries[:20], 10), np.ones(20, bool))


def test_short_codes_gain_buckets_once_enough_was_asked() -> None:
    if _loader.isa() == _loader.REFERENCE:
        return
    codes = make_codes(200_000, 16, "uniform", 1)
    index = hk.BinaryIndex(16)
    index.add(codes)
    index.search(codes[:20], 5)
    assert index.structure_bytes == 0
    index.search(codes[:60], 5)
    assert index.structure_bytes < 4 * len(codes) + 300_000
    assert index.search(codes[:60], 5, explain=True) == "buckets"
    scan = hk.BinaryIndex(16, structure="scan")
    scan.add(codes)
    scan.prepare()
    assert scan.structure_bytes == 0
    for found, expected in zip(index.search(codes[:60], 40), scan.search(codes[:60], 40), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_structure_is_checked() -> None:
    with pytest.raises(ValueError, match="structure must be one of auto, scan, hash, got 'tree'"):
        hk.BinaryIndex(8, structure="tree")
