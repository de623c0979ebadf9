from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import hashkernels as hk
from hashkernels import _loader

BITS = [1, 7, 9, 63, 64, 65, 129, 1023]
INT32_MAX = 2**31 - 1


def random_codes(count: int, bits: int, seed: int = 0) -> np.ndarray:
    return np.packbits(np.random.default_rng(seed).random((count, bits)) < 0.5, axis=1)


@pytest.fixture
def codes() -> np.ndarray:
    return random_codes(300, 65)


@pytest.fixture
def index(codes: np.ndarray) -> hk.BinaryIndex:
    index = hk.BinaryIndex(65)
    for start, stop in ((0, 1), (1, 1), (1, 100), (100, 300)):
        index.add(codes[start:stop])
    return index


def check_against_popcounts(
    index: hk.BinaryIndex, queries: np.ndarray, codes: np.ndarray, k: int, radius: int, threads: int | None = None
) -> None:
    """Search and range search, with and without filters, against NumPy."""
    count = len(codes)
    exact = np.stack([np.bitwise_count(query ^ codes).sum(-1, dtype=np.int64) for query in queries])
    mask = np.random.default_rng(k).random(count) < 0.4
    for allowed in (None, mask, np.flatnonzero(mask)[::-1]):
        distances = exact if allowed is None else np.where(mask, exact, INT32_MAX)
        order = distances.argsort(axis=1, kind="stable")[:, :k]
        expected = np.take_along_axis(distances, order, axis=1)
        found = index.search(queries, k, filter=allowed, threads=threads)
        np.testing.assert_array_equal(found.distances, expected)
        np.testing.assert_array_equal(found.indices, np.where(expected == INT32_MAX, -1, order))
    order = exact.argsort(axis=1, kind="stable")
    ordered = np.take_along_axis(exact, order, axis=1)
    within = index.range_search(queries, radius, threads=threads)
    np.testing.assert_array_equal(within.offsets, [0, *(ordered <= radius).sum(1).cumsum()])
    np.testing.assert_array_equal(within.distances, ordered[ordered <= radius])
    np.testing.assert_array_equal(within.indices, order[ordered <= radius])
    kept = (ordered <= radius) & mask[order]
    counts = kept.sum(1)
    np.testing.assert_array_equal(index.range_count(queries, radius, filter=mask, threads=threads), counts)
    kept &= kept.cumsum(1) <= k
    limited = index.range_search(queries, radius, filter=mask, max_results=k, threads=threads)
    np.testing.assert_array_equal(limited.counts, counts)
    np.testing.assert_array_equal(limited.offsets, [0, *kept.sum(1).cumsum()])
    np.testing.assert_array_equal(limited.distances, ordered[kept])
    np.testing.assert_array_equal(limited.indices, order[kept])


def test_search_over_what_was_added_in_parts(isa: str, index: hk.BinaryIndex, codes: np.ndarray) -> None:
    check_against_popcounts(index, random_codes(7, 65, 1), codes, 12, 30)


@pytest.mark.parametrize("bits", BITS)
def test_any_length_over_several_blocks(isa: str, bits: int, threads: int) -> None:
    codes = random_codes(1300, bits)
    index = hk.BinaryIndex(bits)
    for start, stop in ((0, 511), (511, 513), (513, 1300)):
        index.add(codes[start:stop])
    check_against_popcounts(index, random_codes(3, bits, 1), codes, 20, bits // 2, threads)
    np.testing.assert_array_equal(index.reconstruct(np.arange(1300)), codes)


@given(
    bits=st.sampled_from(BITS),
    batches=st.lists(st.sampled_from([0, 1, 2, 30, 511, 512, 513, 700]), min_size=1, max_size=5),
    data=st.data(),
)
def test_adding_in_parts_is_adding_at_once(isa: str, bits: int, batches: list[int], data: st.DataObject) -> None:
    total = sum(batches)
    codes = random_codes(total, bits, total)
    at_once, in_parts = hk.BinaryIndex(bits), hk.BinaryIndex(bits)
    at_once.add(codes)
    for part in np.split(codes, np.cumsum(batches)[:-1]):
        in_parts.add(part)
    assert at_once.ntotal == in_parts.ntotal == total
    if total == 0:
        return
    np.testing.assert_array_equal(in_parts.reconstruct(np.arange(total)), codes)
    queries = random_codes(2, bits, 1)
    k = data.draw(st.integers(1, total), "k")
    radius = data.draw(st.integers(0, bits), "radius")
    check_against_popcounts(in_parts, queries, codes, k, radius)
    for found, expected in zip(in_parts.search(queries, k), at_once.search(queries, k), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_many_queries_take_the_same_answers_as_one(isa: str, threads: int) -> None:
    codes = random_codes(3000, 64)
    index = hk.BinaryIndex(64)
    index.add(codes)
    queries = random_codes(300, 64, 1)
    check_against_popcounts(index, queries, codes, 10, 20, threads)
    together = index.search(queries, 10, threads=threads)
    for i in range(0, 300, 60):
        alone = index.search(queries[i : i + 1], 10, threads=threads)
        np.testing.assert_array_equal(alone.indices[0], together.indices[i])


def test_strided_codes_and_queries(isa: str) -> None:
    wide = np.random.default_rng(0).integers(0, 256, (600, 20), dtype=np.uint8)
    for view in (wide[:, 1:10], wide[::2, 3:12], wide[::-1, :9], wide[:, ::2][:, :9], wide.T[:, :9]):
        index = hk.BinaryIndex(72)
        index.add(view)
        check_against_popcounts(index, view[:3], np.ascontiguousarray(view), 5, 36)
    index = hk.BinaryIndex(72)
    index.add(torch.from_numpy(wide[:1, :9].copy()).expand(700, 9))
    assert index.search(wide[:1, :9], 700).indices.tolist() == [list(range(700))]


def test_searches_from_several_python_threads(isa: str) -> None:
    codes, queries = random_codes(2000, 64), random_codes(20, 64, 1)
    index = hk.BinaryIndex(64)
    index.add(codes)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: check_against_popcounts(index, queries, codes, 20, 22, 2), range(8)))


def test_the_instruction_set_may_change_under_an_index(codes: np.ndarray) -> None:
    before = _loader.isa()
    try:
        for first, second in ((before, _loader.REFERENCE), (_loader.REFERENCE, before)):
            _loader.set_isa(first)
            index = hk.BinaryIndex(65)
            index.add(codes[:200])
            _loader.set_isa(second)
            index.add(codes[200:])
            check_against_popcounts(index, codes[:2], codes, 9, 30)
            np.testing.assert_array_equal(index.reconstruct(np.arange(300)), codes)
    finally:
        _loader.set_isa(before)


def test_a_search_explains_how_it_would_run(isa: str, index: hk.BinaryIndex) -> None:
    queries = random_codes(500, 65, 1)
    larger = hk.BinaryIndex(65)
    larger.add(random_codes(700, 65, 2))
    explained = [larger.search(queries[:count], 3, threads=1, explain=True) for count in (0, 1, 500)]
    few = hk.BinaryIndex(65)
    few.add(queries[:20])
    explained.append(few.search(queries, 3, threads=1, explain=True))
    if isa == _loader.REFERENCE:
        assert explained == ["reference"] * 4
    else:
        assert explained[1:] == ["planes", "sums", "rows"]
    with pytest.raises(ValueError, match=r"k must be in 1\.\.300, got 0"):
        index.search(queries, 0, explain=True)


def test_no_queries_and_no_codes(isa: str, index: hk.BinaryIndex) -> None:
    none = np.zeros((0, 9), np.uint8)
    index.add(none)
    assert index.ntotal == 300
    assert index.search(none, 3).indices.shape == (0, 3)
    assert index.range_search(none, 3).offsets.tolist() == [0]
    assert index.reconstruct(np.zeros(0, np.int64)).shape == (0, 9)


def test_contexts_of_torch_do_not_reach_the_stored_codes(isa: str, codes: np.ndarray) -> None:
    with torch.inference_mode(), torch.device("meta"):
        index = hk.BinaryIndex(65)
        index.add(codes[:100])
        np.testing.assert_array_equal(index.reconstruct(3), codes[3])
    index.add(torch.from_numpy(codes[100:]))
    check_against_popcounts(index, codes[:2], codes, 9, 30)


def test_kinds_may_be_mixed_between_calls(index: hk.BinaryIndex, codes: np.ndarray) -> None:
    index.add(torch.from_numpy(codes))
    result = index.search(torch.from_numpy(codes[:2]), 2)
    assert isinstance(result.indices, torch.Tensor)
    assert result.indices.tolist() == [[0, 300], [1, 301]]
    assert isinstance(index.range_search(codes[:2], 0).indices, np.ndarray)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda index: pickle.loads(pickle.dumps(index))])
def test_copies_hold_the_same_and_go_ways_of_their_own(
    isa: str, index: hk.BinaryIndex, codes: np.ndarray, tmp_path: Path, duplicate: Callable[..., hk.BinaryIndex]
) -> None:
    little = hk.BinaryIndex(65, bitorder="little", structure="hash")
    little.add_with_ids(codes & np.array([255] * 8 + [1], np.uint8), np.arange(300, dtype=np.uint64) + (1 << 63))
    little.save(tmp_path / "little.hki")
    mapped = hk.BinaryIndex.load(tmp_path / "little.hki")
    emptied = hk.BinaryIndex.load(tmp_path / "little.hki")
    emptied.remove_ids(emptied.ids)
    for original in (index, little, mapped, hk.BinaryIndex(65), emptied):
        twin = duplicate(original)
        assert (twin.bits, twin.bitorder, twin.ntotal) == (65, original.bitorder, original.ntotal)
        np.testing.assert_array_equal(twin.ids, original.ids)
        assert original.ids is None or twin.ids.dtype == original.ids.dtype
        if original.ntotal:
            queries = original.reconstruct(np.arange(300) if original.ids is None else original.ids)[:7]
            for found, expected in zip(twin.search(queries, 9), original.search(queries, 9), strict=True):
                np.testing.assert_array_equal(found, expected)
        with pytest.raises(ValueError, match="must have a file"):
            twin.flush()
    twin = duplicate(index)
    twin.add(codes[:1])
    index.add(codes[1:2])
    with pytest.raises(ValueError, match="the index has ids"):
        duplicate(emptied).add(np.zeros((1, 9), np.uint8))
    np.testing.assert_array_equal(twin.reconstruct(300), codes[0])
    np.testing.assert_array_equal(index.reconstruct(300), codes[1])


def test_sizes(index: hk.BinaryIndex) -> None:
    assert (index.bits, index.ntotal, len(index)) == (65, 300, 300)
    assert repr(index) == "BinaryIndex(bits=65, ntotal=300)"


def test_reconstruct_gives_back_what_was_added(index: hk.BinaryIndex, codes: np.ndarray) -> None:
    np.testing.assert_array_equal(index.reconstruct(17), codes[17])
    np.testing.assert_array_equal(index.reconstruct(np.array([299, 0, 0])), codes[[299, 0, 0]])
    assert torch.equal(index.reconstruct(torch.tensor([5], dtype=torch.int32)), torch.from_numpy(codes[[5]]))


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.uint64])
def test_positions_are_any_integers(isa: str, index: hk.BinaryIndex, codes: np.ndarray, dtype: type) -> None:
    chosen = np.array([100, 3, 7], dtype)
    np.testing.assert_array_equal(index.reconstruct(chosen), codes[[100, 3, 7]])
    assert torch.equal(index.reconstruct(torch.from_numpy(chosen)), torch.from_numpy(codes[[100, 3, 7]]))
    found = index.search(codes[3:4], 4, filter=chosen)
    assert sorted(found.indices[0].tolist()) == [-1, 3, 7, 100]
    assert found.indices[0, 0] == 3


def test_a_limit_may_be_larger_than_the_index(isa: str, index: hk.BinaryIndex, codes: np.ndarray) -> None:
    expected = index.range_search(codes[:2], 30)
    for limit in (300, 2**31, 2**70):
        found = index.range_search(codes[:2], 30, max_results=limit)
        for got, wanted in zip(found, expected, strict=False):
            np.testing.assert_array_equal(got, wanted)
        np.testing.assert_array_equal(found.counts, np.diff(expected.offsets))


@pytest.mark.parametrize("threads", [0, 4097, 2**31, 2**70])
def test_every_call_checks_its_threads(index: hk.BinaryIndex, codes: np.ndarray, threads: int) -> None:
    for call in (
        lambda: index.search(codes[:1], 1, threads=threads),
        lambda: index.search(codes[:1], 1, threads=threads, explain=True),
        lambda: index.search(codes[:1], 1, threads=threads, filter=np.array([0])),
        lambda: index.range_search(codes[:1], 1, threads=threads),
        lambda: index.range_count(codes[:1], 1, threads=threads),
        lambda: index.range_iterator(codes[:1], 1, threads=threads),
        lambda: index.jaccard_search(codes[:1], 1, threads=threads),
        lambda: index.pairs_within(1, threads=threads),
        lambda: index.prepare(threads=threads),
    ):
        with pytest.raises(ValueError, match=rf"threads must be in 1\.\.4096, got {threads}"):
            call()


def test_the_index_shares_no_memory_with_anyone(index: hk.BinaryIndex, codes: np.ndarray) -> None:
    before = codes.copy()
    index.reconstruct(3)[:] = 0
    codes[:] = 0
    np.testing.assert_array_equal(index.reconstruct(np.arange(300)), before)


def test_adding_one_at_a_time_moves_the_codes_seldom(isa: str) -> None:
    index, code = hk.BinaryIndex(9, structure="scan"), np.zeros((1, 2), np.uint8)
    places = set()
    for _ in range(2100):
        index.add(code)
        (room,) = (value for value in vars(index._state.storage).values() if isinstance(value, torch.Tensor))
        places.add(room.data_ptr())
    assert len(places) <= 13
    assert room.nbytes <= 2 * index.bytes_per_code * (index.ntotal + 512)


@pytest.mark.parametrize("bits", [*BITS, 8, 4096])
def test_codes_take_no_more_memory_than_packed(isa: str, bits: int) -> None:
    index = hk.BinaryIndex(bits, structure="scan")
    assert index.bytes_per_code == (bits + 7) // 8
    index.add(random_codes(1024, bits))
    held = [value.nbytes for value in vars(index._state.storage).values() if isinstance(value, torch.Tensor)]
    assert held == [1024 * index.bytes_per_code]


def test_codes_that_are_refused_change_nothing(isa: str, index: hk.BinaryIndex, codes: np.ndarray) -> None:
    with pytest.raises(ValueError, match="pad bits"):
        index.add(np.full((1000, 9), 255, np.uint8))
    assert index.ntotal == 300
    check_against_popcounts(index, codes[:2], codes, 9, 30)


def test_an_empty_index_says_so() -> None:
    index = hk.BinaryIndex(8)
    query = np.zeros((1, 1), np.uint8)
    with pytest.raises(ValueError, match="the index must hold at least one code to be searched, got none"):
        index.search(query, 1)
    with pytest.raises(ValueError, match="the index must hold at least one code to be searched, got none"):
        index.range_search(query, 1)
    with pytest.raises(ValueError, match="the index must hold at least one code to be searched, got none"):
        index.range_count(query, 1)
    with pytest.raises(ValueError, match="positions must name one of the codes of the index, which holds none"):
        index.reconstruct(0)


def test_arguments_are_checked(index: hk.BinaryIndex) -> None:
    with pytest.raises(ValueError, match=r"bits must be in 1\.\.4096, got 0"):
        hk.BinaryIndex(0)
    with pytest.raises(ValueError, match="codes must have 9 bytes a code for 65 bits, got 8"):
        index.add(np.zeros((1, 8), np.uint8))
    with pytest.raises(ValueError, match="codes must have zero pad bits beyond bit 65 of each code"):
        index.add(np.full((1, 9), 1, np.uint8))
    with pytest.raises(ValueError, match="queries must have zero pad bits beyond bit 65 of each code"):
        index.search(np.full((1, 9), 1, np.uint8), 1)
    with pytest.raises(ValueError, match="codes must be on cpu like the index, got meta"):
        index.add(torch.zeros((1, 9), dtype=torch.uint8, device="meta"))
    with pytest.raises(ValueError, match=r"k must be in 1\.\.300, got 301"):
        index.search(np.zeros((1, 9), np.uint8), 301)
    with pytest.raises(ValueError, match=r"radius must be in 0\.\.65, got 66"):
        index.range_search(np.zeros((1, 9), np.uint8), 66)
    with pytest.raises(ValueError, match="max_results must be at least 1, got 0"):
        index.range_search(np.zeros((1, 9), np.uint8), 6, max_results=0)
    with pytest.raises(ValueError, match=r"positions must be in 0\.\.299, got 300"):
        index.reconstruct(300)
    with pytest.raises(ValueError, match=r"positions must be in 0\.\.299, got -1"):
        index.reconstruct(np.array([-1]))
    with pytest.raises(ValueError, match=r"positions must be in 0\.\.299, got 18446744073709551613"):
        index.reconstruct(np.array([2, 2**64 - 3], np.uint64))
    with pytest.raises(TypeError, match="positions must be an int, got float"):
        index.reconstruct(1.0)
    with pytest.raises(ValueError, match="positions must be on cpu like the index, got meta"):
        index.reconstruct(torch.zeros(1, dtype=torch.int64, device="meta"))
    query = np.zeros((1, 9), np.uint8)
    with pytest.raises(ValueError, match="filter given as a mask must have 300 elements, got 3"):
        index.search(query, 1, filter=np.ones(3, bool))
    with pytest.raises(ValueError, match=r"filter must be in 0\.\.299, got 300"):
        index.search(query, 1, filter=np.array([300]))
    with pytest.raises(TypeError, match=r"filter must be a numpy\.ndarray like queries"):
        index.search(query, 1, filter=torch.tensor([1]))
    with pytest.raises(ValueError, match="filter must be on cpu like queries, got meta"):
        index.search(torch.from_numpy(query), 1, filter=torch.ones(300, dtype=torch.bool, device="meta"))
    assert index.ntotal == 300
