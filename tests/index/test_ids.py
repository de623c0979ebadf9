"""Ids of the caller's choosing, against a dictionary of codes and brute force."""

from __future__ import annotations

import threading

import faiss
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import hashkernels as hk


def make(count: int, bits: int = 16, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, bits // 8), dtype=np.uint8)


def brute(codes: np.ndarray, ids: np.ndarray, queries: np.ndarray, k: int):
    distances = np.bitwise_count(queries[:, None] ^ codes[None]).sum(2).astype(np.int32)
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, order, 1), ids[order]


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_search_answers_in_ids(isa, dtype):
    codes, queries = make(700), make(9, seed=1)
    ids = np.random.default_rng(2).integers(1, 2**63, 700, dtype=np.uint64).astype(dtype)
    if dtype == np.uint64:
        ids[5] = 2**64 - 2
    index = hk.BinaryIndex(16)
    index.add_with_ids(codes[:300], ids[:300])
    index.add_with_ids(codes[300:], ids[300:])
    found = index.search(queries, 20)
    for got, expected in zip(found, brute(codes, ids, queries, 20), strict=True):
        np.testing.assert_array_equal(got, expected)
    assert found.indices.dtype == dtype
    np.testing.assert_array_equal(index.reconstruct(ids[::-5]), codes[::-5])
    np.testing.assert_array_equal(index.reconstruct(int(ids[5])), codes[5])
    within = index.range_search(queries, 5)
    for q in range(9):
        distances, expected = brute(codes, ids, queries[q : q + 1], 700)
        row = slice(within.offsets[q], within.offsets[q + 1])
        np.testing.assert_array_equal(within.indices[row], expected[0][distances[0] <= 5])


def test_tensors_come_back_as_tensors():
    index = hk.BinaryIndex(16)
    index.add_with_ids(torch.from_numpy(make(5)), torch.tensor([9, 8, 7, 6, 5]))
    found = index.search(torch.from_numpy(make(5)), 1)
    assert found.indices[:, 0].tolist() == [9, 8, 7, 6, 5]


def test_a_filter_names_ids_or_masks_positions():
    codes, queries = make(200), make(3, seed=1)
    ids = np.arange(200)[::-1] * 10
    index = hk.BinaryIndex(16)
    index.add_with_ids(codes, ids)
    mask = np.random.default_rng(3).random(200) < 0.3
    expected = brute(codes[mask], ids[mask], queries, 5)
    for chosen in (mask, ids[mask], ids[mask][::-1].copy()):
        for got, right in zip(index.search(queries, 5, filter=chosen), expected, strict=True):
            np.testing.assert_array_equal(got, right)
    none = index.search(queries, 5, filter=ids[:2])
    assert (none.indices[:, 2:] == -1).all()
    assert (none.distances[:, 2:] == 2**31 - 1).all()
    with pytest.raises(ValueError, match="filter must name codes of the index, got 5"):
        index.search(queries, 5, filter=np.array([10, 5]))


@given(
    actions=st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.sets(st.integers(0, 60), max_size=8)),
            st.tuples(st.just("remove"), st.sets(st.integers(0, 60), max_size=8)),
        ),
        max_size=12,
    )
)
def test_any_order_of_additions_and_removals(actions):
    index, held = hk.BinaryIndex(16), {}
    for action, numbers in actions:
        chosen = np.array(sorted(numbers, key=lambda n: (n * 37) % 61), np.int64)
        if action == "add":
            new = make(len(chosen), seed=len(held))
            if known := numbers & held.keys():
                with pytest.raises(ValueError, match="ids must be new to the index"):
                    index.add_with_ids(new, chosen)
                assert known
                continue
            index.add_with_ids(new, chosen)
            held |= dict(zip(chosen.tolist(), new, strict=True))
        else:
            assert index.remove_ids(chosen) == len(numbers & held.keys())
            held = {number: code for number, code in held.items() if number not in numbers}
    assert index.ntotal == len(held)
    if held:
        codes, ids = np.array(list(held.values())), np.array(list(held))
        np.testing.assert_array_equal(index.ids, ids)
        for got, expected in zip(
            index.search(make(2, seed=9), len(held)), brute(codes, ids, make(2, seed=9), len(held)), strict=True
        ):
            np.testing.assert_array_equal(got, expected)
        np.testing.assert_array_equal(index.reconstruct(ids[::-1].copy()), codes[::-1])


def test_removal_keeps_the_ids_that_positions_stood_for():
    codes = make(1200)
    index = hk.BinaryIndex(16)
    index.add(codes)
    theirs = faiss.IndexBinaryIDMap2(faiss.IndexBinaryFlat(16))
    theirs.add_with_ids(codes, np.arange(1200))
    gone = np.arange(0, 1200, 7)
    assert index.remove_ids(gone) == theirs.remove_ids(gone) == len(gone)
    for got, expected in zip(index.search(codes[:50], 30), theirs.search(codes[:50], 30), strict=True):
        np.testing.assert_array_equal(got, expected)
    assert index.remove_ids(gone) == 0
    with pytest.raises(ValueError, match="the index has ids"):
        index.add(codes[:1])
    index.add_with_ids(codes[:1], np.array([0]))
    assert index.search(codes[:1], 1).indices.item() == 0


def test_merge_appends_the_other():
    codes, ids = make(100), np.arange(100) * 3
    a, b = hk.BinaryIndex(16), hk.BinaryIndex(16)
    a.add_with_ids(codes[:40], ids[:40])
    b.add_with_ids(codes[40:], ids[40:])
    a.merge(b)
    np.testing.assert_array_equal(a.ids, ids)
    np.testing.assert_array_equal(a.reconstruct(ids), codes)
    assert b.ntotal == 60
    with pytest.raises(ValueError, match="ids must be new to the index, which holds 120 already"):
        a.merge(b)
    assert a.ntotal == 100
    plain, more = hk.BinaryIndex(16), hk.BinaryIndex(16)
    plain.add(codes[:3])
    more.add(codes[3:])
    plain.merge(more)
    np.testing.assert_array_equal(plain.reconstruct(np.arange(100)), codes)
    with pytest.raises(ValueError, match="either both indexes must have ids, or neither"):
        plain.merge(b)
    with pytest.raises(ValueError, match="other must hold codes of 16 bits in big order, got 8 bits in big order"):
        plain.merge(hk.BinaryIndex(8))
    with pytest.raises(TypeError, match="other must be a BinaryIndex, got ndarray"):
        plain.merge(codes)


@pytest.mark.parametrize("loaded", [False, True])
def test_an_emptied_index_still_has_ids(tmp_path, loaded):
    codes, path = make(5), tmp_path / "codes.hki"
    emptied, plain, named = hk.BinaryIndex(16), hk.BinaryIndex(16), hk.BinaryIndex(16)
    emptied.add(codes[:2])
    emptied.remove_ids(np.arange(2))
    emptied.save(path)
    if loaded:
        emptied = hk.BinaryIndex.load(path)
    plain.add(codes)
    named.add_with_ids(codes, np.arange(5) * 10)
    with pytest.raises(ValueError, match="either both indexes must have ids, or neither"):
        emptied.merge(plain)
    assert (emptied.ntotal, emptied.ids.tolist()) == (0, [])
    plain.merge(emptied)  # which has nothing to append
    assert (plain.ntotal, plain.ids) == (5, None)
    emptied.merge(named)
    emptied.flush()
    for same in (emptied, hk.BinaryIndex.load(path, verify="full")):
        np.testing.assert_array_equal(same.ids, np.arange(5) * 10)
        np.testing.assert_array_equal(same.search(codes, 1).indices[:, 0], np.arange(5) * 10)
    unsigned = hk.BinaryIndex(16)
    unsigned.add_with_ids(codes, np.arange(5, dtype=np.uint64))
    emptied.remove_ids(emptied.ids)
    with pytest.raises(TypeError, match="ids of other must be int64, got uint64"):
        emptied.merge(unsigned)
    fresh = hk.BinaryIndex(16)
    fresh.merge(unsigned)
    np.testing.assert_array_equal(fresh.ids, np.arange(5))


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_removal_ignores_what_is_no_id(dtype):
    index = hk.BinaryIndex(16)
    index.add(make(3))
    none = np.array([-1]).view(dtype)
    assert index.remove_ids(none) == 0
    assert index.remove_ids(np.append(none, np.array([1], dtype))) == 1
    assert index.remove_ids(none) == 0
    np.testing.assert_array_equal(index.ids, [0, 2])


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_adding_no_codes_changes_nothing(dtype, tmp_path):
    codes, ids = make(3), np.array([4, 5, 6], dtype)
    index = hk.BinaryIndex(16)
    index.add_with_ids(codes, ids)
    index.save(tmp_path / "codes.hki")
    for same in (index, hk.BinaryIndex.load(tmp_path / "codes.hki")):
        same.add_with_ids(codes[:0], ids[:0])
        np.testing.assert_array_equal(same.ids, ids)
        same.add_with_ids(codes[:1], np.array([9], dtype))
        np.testing.assert_array_equal(same.reconstruct(np.array([9, 6], dtype)), codes[[0, 2]])


def test_bad_ids():
    codes = make(3)
    index = hk.BinaryIndex(16)
    for ids, error, message in [
        ([4, 5, 4], ValueError, "ids must be unique, got 4 twice"),
        ([4, -1, 5], ValueError, "ids must not hold -1"),
        ([4, 5], ValueError, "ids must have one id for each of 3 codes, got 2"),
        ([4.0, 5.0, 6.0], TypeError, "ids must be integers, got float64"),
        ([[4, 5, 6]], ValueError, "ids must have 1 dimension"),
    ]:
        with pytest.raises(error, match=message):
            index.add_with_ids(codes, np.array(ids))
    with pytest.raises(ValueError, match="ids must not hold 18446744073709551615"):
        index.add_with_ids(codes, np.array([1, 2, 2**64 - 1], np.uint64))
    assert index.ntotal == 0
    index.add_with_ids(codes, np.array([4, 5, 6], np.int32))
    assert index.ids.dtype == np.int64
    with pytest.raises(TypeError, match="ids must be int64 like those of the index, got uint64"):
        index.add_with_ids(codes, np.array([7, 8, 9], np.uint64))
    with pytest.raises(ValueError, match="positions must name codes of the index, got 7"):
        index.reconstruct(7)
    for position in (2**70, -(2**70)):
        with pytest.raises(ValueError, match=f"positions must be in .*, got {position}"):
            index.reconstruct(position)
    assert index.remove_ids(np.array([2**64 - 7, 6], np.uint64)) == 1
    positional = hk.BinaryIndex(16)
    positional.add(codes)
    with pytest.raises(ValueError, match="holds 3 codes without ids"):
        positional.add_with_ids(codes, np.array([4, 5, 6]))


def test_threads_search_what_was_there_while_another_adds_and_removes():
    """A code's id says what it must be, so any answer that mixes two moments is seen."""
    codes = make(6000, 32)
    index = hk.BinaryIndex(32)
    index.add_with_ids(codes[:100], np.arange(100))
    stop, failures, searches = threading.Event(), [], []

    def search() -> None:
        rng = np.random.default_rng()
        while not stop.is_set():
            query = rng.integers(0, 100, 4)
            try:
                found = index.search(codes[query], 3, threads=1)
                assert (found.distances[:, 0] == 0).all()
                expected = np.bitwise_count(codes[query][:, None] ^ codes[found.indices]).sum(2)
                np.testing.assert_array_equal(found.distances, expected)
                within = index.range_search(codes[query], 6, threads=1)
                owners = np.repeat(query, np.diff(within.offsets))
                expected = np.bitwise_count(codes[owners] ^ codes[within.indices]).sum(1)
                np.testing.assert_array_equal(within.distances, expected)
                searches.append(1)
            except Exception as error:
                failures.append(error)
                return

    readers = [threading.Thread(target=search) for _ in range(3)]
    for reader in readers:
        reader.start()
    for first in range(100, 6000, 13):
        last = min(first + 13, 6000)
        index.add_with_ids(codes[first:last], np.arange(first, last))
        if first % 700 < 13:
            index.remove_ids(np.arange(first - 5, first))
    stop.set()
    for reader in readers:
        reader.join()
    assert not failures
    assert searches
