"""Searches of plain arrays and tensors in one native call give what ops give, and leave to these what is not plain."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import hashkernels as hk
from hashkernels import _loader, _ops
from hashkernels.index.segments import SegmentedStorage


def make_index(
    bits: int, count: int, *, bitorder: Any = "big", structure: Any = "auto", seed: int = 1
) -> hk.BinaryIndex:
    index = hk.BinaryIndex(bits, bitorder=bitorder, structure=structure)
    index.add(make_codes(count, bits, bitorder, seed))
    return index


def make_codes(count: int, bits: int, bitorder: Any, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    centers = np.random.default_rng(bits).random((3, bits)) < 0.5
    signs = centers[generator.integers(0, 3, count)] ^ (generator.random((count, bits)) < 0.1)
    return np.packbits(signs, axis=1, bitorder=bitorder)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each search that was asked, whether one native call answered it."""
    answered: list[bool] = []
    are_plain = _ops.are_plain_codes

    def spy(*arguments: Any) -> bool:
        answered.append(are_plain(*arguments))
        return answered[-1]

    monkeypatch.setattr(_ops, "are_plain_codes", spy)
    return answered


def check(index: hk.BinaryIndex, asked: Any, k: int, radius: int, threads: int | None = None) -> None:
    """Each search against itself by ops."""
    check_each(
        (lambda: index.search(asked, k, threads=threads)),
        (lambda: index.range_search(asked, radius, threads=threads)),
        (lambda: index.range_count(asked, radius, threads=threads)),
    )


def check_each(*searches: Callable[[], Any]) -> None:
    for search in searches:
        found = search()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_ops, "are_plain_codes", lambda *_: False)
            expected = search()
        assert type(found) is type(expected)
        pairs = zip(found, expected, strict=True) if isinstance(found, tuple) else [(found, expected)]
        for part, wanted in pairs:
            assert type(part) is type(wanted)
            assert part.dtype == wanted.dtype
            np.testing.assert_array_equal(part, wanted)


def check_both(index: hk.BinaryIndex, queries: np.ndarray, k: int, radius: int, threads: int | None = None) -> None:
    check(index, queries, k, radius, threads)
    check(index, torch.from_numpy(queries.copy()), k, radius, threads)


@given(
    bits=st.sampled_from([1, 7, 8, 9, 16, 40, 64, 65, 200]),
    count=st.sampled_from([1, 3, 511, 513, 1500]),
    bitorder=st.sampled_from(["big", "little"]),
    structure=st.sampled_from(["scan", "auto", "hash"]),
    threads=st.sampled_from([None, 1, 3]),
    data=st.data(),
)
def test_one_call_finds_what_ops_find(
    isa: str, bits: int, count: int, bitorder: str, structure: str, threads: int | None, data: st.DataObject
) -> None:
    index = make_index(bits, count, bitorder=bitorder, structure=structure)
    queries = make_codes(data.draw(st.sampled_from([1, 2, 70]), "queries"), bits, bitorder, 2)
    k, radius = data.draw(st.integers(1, count), "k"), data.draw(st.integers(0, bits), "radius")
    for _ in range(2):  # the second time with tables, where there are any
        check_both(index, queries, k, radius, threads)


def check_packed(queries: Any, codes: Any, k: int, radius: int, threads: int | None = None) -> None:
    check_each(
        (lambda: hk.topk(queries, codes, k, threads=threads)),
        (lambda: hk.range_search(queries, codes, radius, threads=threads)),
        (lambda: hk.range_count(queries, codes, radius, threads=threads)),
    )


@given(
    bits=st.sampled_from([1, 8, 16, 40, 64, 65, 200]),
    count=st.sampled_from([1, 3, 513, 1500]),
    num_queries=st.sampled_from([1, 2, 70]),
    step=st.sampled_from([1, 2]),
    threads=st.sampled_from([None, 1, 3]),
    data=st.data(),
)
def test_one_call_finds_among_packed_codes_what_ops_find(
    isa: str, bits: int, count: int, num_queries: int, step: int, threads: int | None, data: st.DataObject
) -> None:
    codes, queries = make_codes(count * step, bits, "big", 1)[::step], make_codes(num_queries, bits, "big", 2)
    k, radius = data.draw(st.integers(1, count), "k"), data.draw(st.integers(0, bits), "radius")
    check_packed(queries, codes, k, radius, threads)
    check_packed(torch.from_numpy(queries), torch.from_numpy(codes), k, radius, threads)


def test_packed_codes_that_are_not_plain_go_the_way_of_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    codes, queries = make_codes(700, 64, "big", 1), make_codes(9, 64, "big", 2)
    for other in (codes[::-1], np.asfortranarray(codes), codes[:, ::-1]):
        check_packed(queries, other, 5, 20)

    def at_once(*_: Any) -> None:
        raise AssertionError("found in one call")

    monkeypatch.setattr(_ops, "find_in_codes", at_once)
    for other in (codes[::-1], np.asfortranarray(codes), torch.from_numpy(codes).t().contiguous().t()):
        hk.topk(queries if isinstance(other, np.ndarray) else torch.from_numpy(queries), other, 5)
    negated = torch._neg_view(torch.from_numpy(queries))
    expected = hk.topk(negated.resolve_neg(), torch.from_numpy(codes), 5, bits=64)
    assert torch.equal(hk.topk(negated, torch.from_numpy(codes), 5).indices, expected.indices)
    hk.topk(queries, codes, 5, bits=64)
    hk.topk(queries, codes, 5, filter=np.arange(9))
    hk.range_search(queries, codes, 5, max_results=2)
    for error, message, arguments in (
        (TypeError, "database must be a numpy.ndarray like queries", (queries, torch.from_numpy(codes), 5)),
        (TypeError, "database must be uint8", (queries, codes.view(np.int8), 5)),
        (ValueError, "database must have 8 bytes a code", (queries, codes[:, :7], 5)),
        (ValueError, "database must hold at least one code", (queries, codes[:0], 5)),
        (ValueError, r"k must be in 1\.\.700, got 701", (queries, codes, 701)),
    ):
        with pytest.raises(error, match=message):
            hk.topk(*arguments)


def test_plain_arrays_are_answered_at_once(isa: str, calls: list[bool]) -> None:
    index, queries = make_index(64, 700), make_codes(9, 64, "big", 2)
    read_only = queries.copy()
    read_only.flags.writeable = False
    for plain in (queries, queries[:1], queries[::3], np.repeat(queries, 2, axis=1)[:, 3:11], read_only):
        check_both(index, plain, 5, 20)
    assert calls == ([] if isa == _loader.REFERENCE else [True] * 30)


def test_what_is_not_plain_goes_the_way_of_tensors(calls: list[bool], tmp_path: Path) -> None:
    index, queries = make_index(64, 700), make_codes(9, 64, "big", 2)
    np.save(tmp_path / "queries.npy", queries)
    mapped = np.load(tmp_path / "queries.npy", mmap_mode="r")
    for other in (queries[::-1], np.asfortranarray(queries), queries[:, ::-1], mapped, queries[:0]):
        check(index, other, 5, 20)
    index.search(queries, np.int64(5))
    index.search(queries, 5, filter=np.arange(9))
    index.range_search(queries, 5, max_results=2)
    assert not any(calls)


def test_many_results_are_made_on_huge_pages(calls: list[bool]) -> None:
    index, queries = make_index(32, 1100), make_codes(240, 32, "big", 2)
    check_both(index, queries, 1100, 2)
    assert calls == ([] if _loader.isa() == _loader.REFERENCE else [False, True, True] * 2)


def test_ids_are_those_of_the_codes(isa: str) -> None:
    index = hk.BinaryIndex(32)
    index.add_with_ids(make_codes(300, 32, "big", 1), np.arange(300, dtype=np.uint64) * 7 + 2**63)
    check_both(index, make_codes(4, 32, "big", 2), 300, 9)


def test_what_was_added_and_what_lies_in_a_file_is_found(tmp_path: Path, calls: list[bool]) -> None:
    index = make_index(40, 600, structure="hash")
    queries = make_codes(5, 40, "big", 3)
    check_both(index, queries, 7, 6)
    index.add(queries)
    check_both(index, queries, 7, 6)
    index.save(tmp_path / "codes.hki")
    check_both(hk.BinaryIndex.load(tmp_path / "codes.hki"), queries, 7, 6)
    assert set(calls) == (set() if _loader.isa() == _loader.REFERENCE else {True})


def test_queries_that_tables_leave_are_scanned(isa: str) -> None:
    codes = np.random.default_rng(1).integers(0, 256, (5000, 8), np.uint8)
    index = hk.BinaryIndex(64, structure="hash")
    index.add(codes)
    queries = np.random.default_rng(2).integers(0, 256, (40, 8), np.uint8)
    queries[::2] = codes[:20]
    for k in (1, 2, 30):
        check_both(index, queries, k, 3)
        check_both(index, queries[::2], k, 3)


@pytest.mark.parametrize(
    ("queries", "number", "threads", "error", "message"),
    [
        (np.zeros((2, 2), np.uint8), 0, None, ValueError, "must be in"),
        (np.zeros((2, 2), np.uint8), 401, None, ValueError, "must be in"),
        (np.zeros((2, 2), np.uint8), True, None, TypeError, "must be an int"),
        (np.zeros((2, 2), np.uint8), 1.0, None, TypeError, "must be an int"),
        (np.zeros((2, 2), np.uint8), 1, 0, ValueError, r"threads must be in 1\.\.4096, got 0"),
        (np.zeros((2, 2), np.uint8), 1, 2**31, ValueError, r"threads must be in 1\.\.4096, got 2147483648"),
        (np.zeros((2, 2), np.uint8), 2**31, None, ValueError, r"k must be in 1\.\.400, got 2147483648"),
        (np.zeros((2, 2), np.uint8), 2**63, None, ValueError, r"k must be in 1\.\.400, got 9223372036854775808"),
        (np.zeros((2, 2), np.uint8), -(2**70), None, ValueError, r"k must be in 1\.\.400, got -1180591620717411303424"),
        (np.zeros((2, 3), np.uint8), 1, None, ValueError, "queries must have 2 bytes"),
        (np.zeros(2, np.uint8), 1, None, ValueError, "queries must have 2 dimensions"),
        (np.zeros((2, 2), np.int8), 1, None, TypeError, "queries must be uint8"),
        (np.full((2, 2), 1, np.uint8), 1, None, ValueError, "zero pad bits"),
        (torch.zeros((2, 2), dtype=torch.bfloat16), 1, None, TypeError, "queries must be uint8"),
        (torch.zeros((2, 2), requires_grad=True), 1, None, TypeError, "queries must be uint8"),
        (torch.zeros((2, 2), dtype=torch.uint8, device="meta"), 1, None, ValueError, "queries must be on cpu"),
        ([[1, 2]], 1, None, TypeError, "queries must be"),
    ],
)
def test_errors_are_those_of_tensors(queries: Any, number: Any, threads: Any, error: Any, message: str) -> None:
    index = make_index(13, 400)
    with pytest.raises(error, match=message):
        index.search(queries, number, threads=threads)


def test_a_radius_beyond_the_code_is_an_error() -> None:
    index, queries = make_index(13, 400), np.zeros((2, 2), np.uint8)
    for search in (index.range_search, index.range_count):
        for radius in (-1, 14, 16, 2**31, 2**70, -(2**70)):
            with pytest.raises(ValueError, match=r"radius must be in 0\.\.13"):
                search(queries, radius)


def test_an_empty_index_is_an_error() -> None:
    index, queries = hk.BinaryIndex(13), np.zeros((2, 2), np.uint8)
    for search in (index.search, index.range_search, index.range_count):
        with pytest.raises(ValueError, match="at least one code"):
            search(queries, 1)


def test_a_mapped_file_is_searched_and_added_to_without_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codes, queries = make_codes(3000, 64, "big", 1), make_codes(70, 64, "big", 2)
    built = hk.BinaryIndex(64, structure="hash")
    built.add(codes)
    built.prepare()
    built.save(tmp_path / "codes.hki")
    expected = built.search(queries, 5)

    def copy(*_: Any) -> None:
        raise AssertionError("the codes of a file were copied")

    monkeypatch.setattr(SegmentedStorage, "planes", copy)
    mapped = hk.BinaryIndex.load(tmp_path / "codes.hki")
    for _ in range(2):
        np.testing.assert_array_equal(mapped.search(queries, 5).indices, expected.indices)
    mapped.add(codes[:1])
    assert mapped.ntotal == 3001


def test_tables_are_built_for_searches_alone_and_each_counts_once() -> None:
    if _loader.isa() == _loader.REFERENCE:
        return
    index = make_index(64, 300, structure="hash")
    for queries, k in (
        (np.zeros((1, 8), np.float32), 1),
        (np.zeros((1, 9), np.uint8), 1),
        (np.zeros((1, 8), np.uint8), 301),
    ):
        with pytest.raises((TypeError, ValueError)):
            index.search(queries, k)
    assert index.structure_bytes == 0
    short, queries = make_index(16, 8000), make_codes(33, 16, "big", 2)
    short.search(queries, 8000)
    assert short.structure_bytes == 0
    short.search(queries, 8000)
    assert short.structure_bytes > 0
