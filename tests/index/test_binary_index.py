from __future__ import annotations

import numpy as np
import pytest
import torch

import hashkernels as hk


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


def test_search_over_what_was_added_in_parts(isa: str, index: hk.BinaryIndex, codes: np.ndarray) -> None:
    queries = random_codes(7, 65, 1)
    distances = np.bitwise_count(queries[:, None] ^ codes).sum(-1, dtype=np.int64)
    order = distances.argsort(axis=1, kind="stable")[:, :12]
    result = index.search(queries, 12)
    np.testing.assert_array_equal(result.indices, order)
    np.testing.assert_array_equal(result.distances, np.take_along_axis(distances, order, axis=1))
    within = index.range_search(queries, 30)
    np.testing.assert_array_equal(np.diff(within.offsets), (distances <= 30).sum(1))
    mask = np.arange(300) % 3 == 0
    assert (index.search(queries, 12, filter=mask).indices % 3 == 0).all()


def test_kinds_may_be_mixed_between_calls(index: hk.BinaryIndex, codes: np.ndarray) -> None:
    index.add(torch.from_numpy(codes))
    result = index.search(torch.from_numpy(codes[:2]), 2)
    assert isinstance(result.indices, torch.Tensor)
    assert result.indices.tolist() == [[0, 300], [1, 301]]
    assert isinstance(index.range_search(codes[:2], 0).indices, np.ndarray)


def test_sizes(index: hk.BinaryIndex) -> None:
    assert (index.bits, index.ntotal, len(index)) == (65, 300, 300)
    assert repr(index) == "BinaryIndex(bits=65, ntotal=300)"


def test_reconstruct_gives_back_what_was_added(index: hk.BinaryIndex, codes: np.ndarray) -> None:
    np.testing.assert_array_equal(index.reconstruct(17), codes[17])
    np.testing.assert_array_equal(index.reconstruct(np.array([299, 0, 0])), codes[[299, 0, 0]])
    assert torch.equal(index.reconstruct(torch.tensor([5], dtype=torch.int32)), torch.from_numpy(codes[[5]]))


def test_the_index_shares_no_memory_with_anyone(index: hk.BinaryIndex, codes: np.ndarray) -> None:
    before = codes.copy()
    index.reconstruct(3)[:] = 0
    codes[:] = 0
    np.testing.assert_array_equal(index.reconstruct(np.arange(300)), before)


def test_adding_one_at_a_time_moves_the_codes_seldom() -> None:
    index, code = hk.BinaryIndex(8), np.zeros((1, 1), np.uint8)
    places = set()
    for _ in range(1000):
        index.add(code)
        places.add(index._storage.data_ptr())
    assert len(places) <= 11
    assert index._storage.shape[0] <= 2 * index.ntotal


def test_an_empty_index_says_so() -> None:
    index = hk.BinaryIndex(8)
    query = np.zeros((1, 1), np.uint8)
    with pytest.raises(ValueError, match="the index must hold at least one code to be searched, got none"):
        index.search(query, 1)
    with pytest.raises(ValueError, match="the index must hold at least one code to be searched, got none"):
        index.range_search(query, 1)
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
    with pytest.raises(ValueError, match=r"positions must be in 0\.\.299, got 300"):
        index.reconstruct(300)
    with pytest.raises(ValueError, match=r"positions must be in 0\.\.299, got -1"):
        index.reconstruct(np.array([-1]))
    with pytest.raises(TypeError, match="positions must be an int, got float"):
        index.reconstruct(1.0)
    assert index.ntotal == 300
