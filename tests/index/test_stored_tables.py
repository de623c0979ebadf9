"""Hash tables in an index file: searched as they lie there, refused where they are damaged or made up."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
import torch

import hashkernels as hk
from hashkernels import _loader, _ops
from hashkernels._ops import hash_tables
from hashkernels.index import native_file
from hashkernels.index.table_file import extra_of


def make(count: int, bits: int, seed: int = 0) -> np.ndarray:
    return np.packbits(np.random.default_rng(seed).random((count, bits)) < 0.5, axis=1)


def build(count: int, bits: int, structure: str = "hash") -> hk.BinaryIndex:
    index = hk.BinaryIndex(bits, structure=structure)
    index.add(make(count, bits))
    return index


def save(path, count: int, bits: int) -> hk.BinaryIndex:
    index = build(count, bits)
    index.prepare()
    index.save(path)
    return index


def same(found: hk.BinaryIndex, expected: hk.BinaryIndex) -> None:
    queries, radius = make(9, found.bits, 1), found.bits // 5
    queries[:4] = expected.reconstruct(np.arange(4) % expected.ntotal)
    k = min(20, expected.ntotal)
    for a, b in zip(
        (*found.search(queries, k), *found.range_search(queries, radius), found.range_count(queries, 1)),
        (*expected.search(queries, k), *expected.range_search(queries, radius), expected.range_count(queries, 1)),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


@pytest.fixture
def nothing_is_built(monkeypatch):
    def refuse(*arguments):
        raise AssertionError("tables were built")

    return lambda: monkeypatch.setattr(_ops, "build_hash_tables", refuse)


@pytest.mark.parametrize("mmap", [True, False])
@pytest.mark.parametrize(("count", "bits"), [(1, 9), (300, 8), (5000, 19), (5000, 64), (700, 300)])
def test_tables_are_taken_from_the_file(tmp_path, nothing_is_built, mmap, count, bits):
    path = tmp_path / "a.hki"
    size = save(path, count, bits).structure_bytes
    nothing_is_built()
    for verify in ("full", "lazy", "none"):
        for structure in ("auto", "hash", "scan"):
            index = hk.BinaryIndex.load(path, mmap=mmap, verify=verify, structure=structure)
            same(index, build(count, bits, "scan"))
            assert index.structure_bytes == (0 if structure == "scan" else size)
    index = hk.BinaryIndex.load(path)
    index.prepare()
    assert index.structure_bytes == size


def test_a_search_that_tables_are_good_for_goes_through_them(tmp_path):
    if _loader.isa() == _loader.REFERENCE:
        return
    save(tmp_path / "a.hki", 200_000, 64)
    index = hk.BinaryIndex.load(tmp_path / "a.hki")
    queries = make(50, 64, 1)
    assert index.range_search(queries, 2, explain=True) == "hash"
    index.range_search(queries, 2)
    assert index.range_search(queries, 2, explain=True) == "hash"


def test_a_file_with_tables_serves_every_instruction_set(tmp_path, isa):
    before = _loader.isa()
    _loader.set_isa(_loader.available_isas()[0])
    save(tmp_path / "a.hki", 900, 40)
    _loader.set_isa(before)
    same(hk.BinaryIndex.load(tmp_path / "a.hki", verify="full"), build(900, 40, "scan"))


def test_the_same_codes_give_the_same_file(tmp_path):
    save(tmp_path / "a.hki", 600, 20)
    hk.BinaryIndex.load(tmp_path / "a.hki", structure="hash").save(tmp_path / "plain.hki")
    index = hk.BinaryIndex.load(tmp_path / "a.hki")
    index.prepare()
    index.save(tmp_path / "b.hki")
    assert (tmp_path / "a.hki").read_bytes() == (tmp_path / "b.hki").read_bytes()
    assert native_file.NativeFile(tmp_path / "plain.hki").extras == []  # no search has looked at them


def test_tables_are_of_the_codes_that_were_there(tmp_path):
    path = tmp_path / "a.hki"
    save(path, 300, 20)
    index = hk.BinaryIndex.load(path)
    index.add(make(200, 20, 5))
    index.flush()
    expected = build(300, 20, "scan")
    expected.add(make(200, 20, 5))
    same(index, expected)
    for structure in ("auto", "hash"):
        same(hk.BinaryIndex.load(path, verify="full", structure=structure), expected)
    index = hk.BinaryIndex.load(path, structure="hash")
    index.prepare()
    index.save(path)
    file = native_file.NativeFile(path)
    assert [segment.first for segment in file.extras] == [500]
    index.remove_ids(np.arange(0, 500, 3))
    expected.remove_ids(np.arange(0, 500, 3))
    index.flush()
    found = hk.BinaryIndex.load(path, verify="full")
    np.testing.assert_array_equal(found.reconstruct(found.ids), expected.reconstruct(expected.ids))


def test_every_truncation_and_flipped_bit_is_refused_or_harmless(tmp_path, flipped):
    path = tmp_path / "a.hki"
    save(path, 20, 17)
    expected, whole = build(20, 17, "scan"), path.read_bytes()
    extra = native_file.NativeFile(path).extras[0]
    for length in range(extra.start, len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"damaged index file|not an index file"):
            hk.BinaryIndex.load(path, verify="none")
    payload = range(extra.start, extra.start + 64 + extra.sections[0].size)
    path.write_bytes(whole)
    for bit in flipped(path, range(8 * extra.start, 8 * len(whole))):
        try:
            found = hk.BinaryIndex.load(path, verify="full")
        except ValueError:
            continue
        assert bit // 8 not in payload
        same(found, expected)


def changed(tables, name: str, at: int, value: int) -> _ops.HashTables:
    parts = {field: getattr(tables, field).clone() for field in ("widths", "order", "offsets", "rows", "ids", "slots")}
    parts[name].view(-1)[at] = value
    return _ops.HashTables(tables.count, tables.num_bytes, **parts)


@pytest.mark.parametrize(
    ("name", "at", "value", "message"),
    [
        ("widths", 0, 0, "chunks of"),
        ("widths", 0, -1, "chunks of"),
        ("widths", 0, 25, "more than|chunks of"),
        ("widths", 1, 2**31 - 1, "chunks of"),
        ("order", 3, 24, "order of bits"),
        ("order", 3, -1, "order of bits"),
        ("offsets", 2, 301, "0..300, got 301"),
        ("offsets", -1, -1, "0..300, got -1"),
        ("ids", 7, 300, "0..299, got 300"),
        ("ids", 7, -1, "0..299, got -1"),
        ("slots", -1, 300, "0..299, got 300"),
    ],
)
def test_what_would_be_read_outside_of_the_tables_is_refused(tmp_path, name, at, value, message):
    """Under checksums that are right: a stranger can compute them, too."""
    if _loader.isa() == _loader.REFERENCE:
        return
    path, codes = tmp_path / "a.hki", make(300, 20)
    planes = torch.empty((1, 24, 8), dtype=torch.int64)
    _ops.slice_codes(torch.from_numpy(codes), 0, planes)
    tables = _ops.build_hash_tables(planes, 300, 20)
    settings = native_file.Settings(20, "big", "none")
    made_up = extra_of(changed(tables, name, at, value))
    native_file.write_file(path, settings, planes.numpy().reshape(-1).view(np.uint8), 300, None, [made_up])
    index = hk.BinaryIndex.load(path, verify="none")
    with pytest.raises(ValueError, match=rf"a\.hki: damaged index file: its hash tables: .*({message})"):
        index.search(codes[:1], 1)
    same(hk.BinaryIndex.load(path, structure="scan"), build(300, 20, "scan"))


def one_other(name: str, at: int):
    return lambda tables: changed(tables, name, at, int(getattr(tables, name).view(-1)[at]) ^ 1)


def moved(name: str, by: int):
    """The same entries, each in the place of another."""
    return lambda tables: replace(tables, **{name: getattr(tables, name).roll(by, -1).contiguous()})


def other_chunks(tables: _ops.HashTables) -> _ops.HashTables:
    """The same bits, each in another place, for keys that are those of the first ones."""
    used = int(tables.widths.sum())
    return replace(tables, order=torch.cat([tables.order[:used].flip(0), tables.order[used:]]))


def pad_bit_in_a_chunk(tables: _ops.HashTables) -> _ops.HashTables:
    """Buckets over a bit that no code has, in place of one that they have."""
    order = tables.order.clone()
    pad, real = (int(np.flatnonzero(order.numpy() == plane)[0]) for plane in (8, 15))
    order[pad], order[real] = 15, 8
    return replace(tables, order=order)


@pytest.mark.parametrize(
    ("bits", "falsify", "message"),
    [
        (20, one_other("ids", 7), "their ids are not"),
        (20, moved("ids", 1), "their ids are not"),
        (20, one_other("offsets", 3), "their offsets are not"),
        (20, one_other("rows", 7), "their rows are not"),
        (20, one_other("slots", 7), "their slots are not"),
        (20, moved("slots", 1), "their slots are not"),
        (20, lambda tables: replace(tables, slots=tables.slots ^ (1 << 24)), "their slots are not"),
        (20, lambda tables: replace(tables, order=tables.order.flip(0)), "a chunk has a pad bit"),
        (20, other_chunks, "their ids are not"),
        (12, pad_bit_in_a_chunk, "a chunk has a pad bit"),
        (12, moved("ids", 5), "their ids are not"),
        (12, one_other("offsets", 100), "their offsets are not"),
    ],
)
def test_tables_of_other_codes_under_checksums_that_are_right(tmp_path, bits, falsify, message):
    if _loader.isa() == _loader.REFERENCE:
        return
    path, codes = tmp_path / "a.hki", make(300, bits)
    planes = torch.zeros((1, 8 * codes.shape[1], 8), dtype=torch.int64)
    _ops.slice_codes(torch.from_numpy(codes), 0, planes)
    tables = _ops.build_hash_tables(planes, 300, bits)
    settings = native_file.Settings(bits, "big", "none")

    def write(content: _ops.HashTables) -> None:
        words = planes.numpy().reshape(-1).view(np.uint8)
        native_file.write_file(path, settings, words, 300, None, [extra_of(content)])

    write(tables)
    same(hk.BinaryIndex.load(path, verify="full"), build(300, bits, "scan"))
    write(falsify(tables))
    hk.BinaryIndex.load(path).prepare()  # nothing would be read outside of them
    with pytest.raises(ValueError, match=rf"a\.hki: damaged index file: its hash tables: .*({message})"):
        hk.BinaryIndex.load(path, verify="full")
    same(hk.BinaryIndex.load(path, verify="full", structure="scan"), build(300, bits, "scan"))


@pytest.mark.parametrize("bitorder", ["big", "little"])
def test_other_chunks_are_no_damage(tmp_path, bitorder):
    if _loader.isa() == _loader.REFERENCE:
        return
    settings, expected = native_file.Settings(60, bitorder, "none"), hk.BinaryIndex(60, bitorder=bitorder)
    expected.add(np.packbits(np.random.default_rng(0).random((600, 60)) < 0.5, axis=1, bitorder=bitorder))
    planes = expected._state.storage.planes()
    tables = _ops.build_hash_tables(planes, 600, 60, little=bitorder == "little")
    other = hash_tables._filled(planes, 600, 60, tables.widths.flip(0), other_chunks(tables).order, None)
    native_file.write_file(
        tmp_path / "a.hki", settings, planes.numpy().reshape(-1).view(np.uint8), 600, None, [extra_of(other)]
    )
    index = hk.BinaryIndex.load(tmp_path / "a.hki", verify="full")
    index.prepare()
    assert index.structure_bytes == other.nbytes


@pytest.mark.parametrize("size", [3, 64, 200])
def test_tables_that_are_too_short(tmp_path, size):
    if _loader.isa() == _loader.REFERENCE:
        return
    settings, planes = native_file.Settings(20, "big", "none"), np.zeros(native_file.planes_size(5, 3), np.uint8)
    content = np.zeros(size, np.uint8)
    content[0] = 2
    native_file.write_file(tmp_path / "a.hki", settings, planes, 5, None, [native_file.Extra(b"tags", [content])])
    with pytest.raises(ValueError, match="damaged index file: its hash tables"):
        hk.BinaryIndex.load(tmp_path / "a.hki").prepare()


def test_tables_without_tags_are_stepped_over(tmp_path):
    """A search that takes zeros above a row for its tag would miss codes."""
    if _loader.isa() == _loader.REFERENCE:
        return
    planes = torch.empty((1, 24, 8), dtype=torch.int64)
    _ops.slice_codes(torch.from_numpy(make(300, 20)), 0, planes)
    tables = _ops.build_hash_tables(planes, 300, 20)
    tables.slots.bitwise_and_(0xFFFFF)
    old = native_file.Extra(b"hash", extra_of(tables).parts)
    settings = native_file.Settings(20, "big", "none")
    native_file.write_file(tmp_path / "a.hki", settings, planes.numpy().reshape(-1).view(np.uint8), 300, None, [old])
    index = hk.BinaryIndex.load(tmp_path / "a.hki", verify="full")
    same(index, build(300, 20, "scan"))
    assert index.structure_bytes == 0


def test_what_is_optional_and_not_known_is_stepped_over(tmp_path):
    path = tmp_path / "a.hki"
    settings, planes = native_file.Settings(20, "big", "none"), np.zeros(native_file.planes_size(5, 3), np.uint8)
    pieces = [np.full(size, 7, np.uint8) for size in (100, 70_000, 5)]
    native_file.write_file(path, settings, planes, 5, None, [native_file.Extra(b"what", pieces)])
    index = hk.BinaryIndex.load(path, verify="full")
    index.add(np.zeros((2, 3), np.uint8))
    index.flush()
    assert hk.BinaryIndex.load(path, verify="full").ntotal == 7
    extra = native_file.NativeFile(path).extras[0]
    assert extra.sections[0].tobytes() == bytes([7]) * 70_105
    damaged = bytearray(path.read_bytes())
    damaged[extra.start + 64 + 70_000] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match="checksum of the tables of the segment"):
        hk.BinaryIndex.load(path, verify="full")
    native_file.write_file(path, settings, planes, 5, None, [native_file.Extra(b"What", pieces)])
    with pytest.raises(ValueError, match="the header of the segment at byte"):
        hk.BinaryIndex.load(path)


def test_a_crash_that_damages_a_commit_loses_no_tables(tmp_path):
    path = tmp_path / "a.hki"
    save(path, 20, 17)
    damaged = bytearray(path.read_bytes())
    damaged[512] ^= 1
    path.write_bytes(damaged)
    index = hk.BinaryIndex.load(path, verify="full")
    same(index, build(20, 17, "scan"))
    assert index.structure_bytes > 0
    assert os.listdir(tmp_path) == ["a.hki"]
