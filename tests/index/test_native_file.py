"""The library's own file: what is refused, what is detected, what a crash leaves."""

from __future__ import annotations

import os
import stat
import struct

import numpy as np
import pytest

import hashkernels as hk
from hashkernels.index import native_file

FILES = {"positions": None, "int64": np.int64, "uint64": np.uint64}


def make(count: int, bits: int = 8, seed: int = 0) -> np.ndarray:
    return np.packbits(np.random.default_rng(seed).integers(0, 2, (count, bits), dtype=np.uint8), axis=1)


def ids_for(count: int, dtype, first: int = 0):
    values = (np.arange(first, first + count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)).view(np.int64)
    return values.view(dtype)


def build(count: int, bits: int = 8, dtype=None, first: int = 0) -> hk.BinaryIndex:
    index = hk.BinaryIndex(bits)
    codes = make(first + count, bits)[first:]
    index.add(codes) if dtype is None else index.add_with_ids(codes, ids_for(count, dtype, first))
    return index


def same(a: hk.BinaryIndex, b: hk.BinaryIndex) -> None:
    assert (a.bits, a.bitorder, a.ntotal) == (b.bits, b.bitorder, b.ntotal)
    assert (a.ids is None) == (b.ids is None)
    if a.ids is not None:
        np.testing.assert_array_equal(a.ids, b.ids)
        assert a.ids.dtype == b.ids.dtype
    if a.ntotal:
        queries = make(5, a.bits, 9)
        for x, y in zip(a.search(queries, a.ntotal), b.search(queries, b.ntotal), strict=True):
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("mmap", [True, False])
@pytest.mark.parametrize(("count", "bits"), [(0, 8), (1, 5), (512, 8), (513, 65), (1100, 127)])
def test_what_is_saved_is_loaded(tmp_path, isa, kind, mmap, count, bits):
    index = build(count, bits, FILES[kind])
    index.save(tmp_path / "a.hki")
    for verify in ("full", "lazy", "none"):
        same(hk.BinaryIndex.load(tmp_path / "a.hki", mmap=mmap, verify=verify), index)


def test_the_same_codes_give_the_same_file(tmp_path):
    build(700, 16, np.int64).save(tmp_path / "at once")
    parts = build(600, 16, np.int64)
    parts.add_with_ids(make(700, 16)[600:], ids_for(100, np.int64, 600))
    parts.save(tmp_path / "in parts")
    assert (tmp_path / "at once").read_bytes() == (tmp_path / "in parts").read_bytes()


@pytest.mark.parametrize("kind", FILES)
def test_appended_segments_are_one_index(tmp_path, isa, kind):
    dtype, path = FILES[kind], tmp_path / "a.hki"
    index = build(600, 12, dtype)
    index.save(path)
    for first, count in ((600, 1), (601, 800), (1401, 50)):
        codes = make(1451, 12)[first : first + count]
        index.add(codes) if dtype is None else index.add_with_ids(codes, ids_for(count, dtype, first))
        index.flush()
        index.flush()  # nothing new: nothing written
        same(hk.BinaryIndex.load(path, verify="full"), build(first + count, 12, dtype))
    assert len(native_file.NativeFile(path).segments) == 4
    mapped, copied = hk.BinaryIndex.load(path), hk.BinaryIndex.load(path, mmap=False)
    queries = make(4, 12, 5)
    for other in (mapped, copied):
        for options in ({}, {"max_results": 3}, {"filter": np.arange(1451) % 3 == 0}):
            got, expected = other.range_search(queries, 4, **options), index.range_search(queries, 4, **options)
            for a, b in zip(got, expected, strict=True):
                np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(other.range_count(queries, 4), index.range_count(queries, 4))
        keys = index.ids if dtype is not None else np.arange(1451)
        np.testing.assert_array_equal(other.reconstruct(keys[::-7]), make(1451, 12)[::-7])
    mapped.save(path)
    assert len(native_file.NativeFile(path).segments) == 1
    same(hk.BinaryIndex.load(path), index)


def test_a_mapped_index_grows_in_memory_and_leaves_the_file(tmp_path):
    path = tmp_path / "a.hki"
    build(100).save(path)
    before = path.read_bytes()
    index = hk.BinaryIndex.load(path)
    index.add(make(140)[100:])
    same(index, build(140))
    assert path.read_bytes() == before
    index.remove_ids(np.arange(0, 140, 2))
    index.flush()  # what is gone cannot be appended: the file is new
    same(hk.BinaryIndex.load(path), index)


def test_every_truncation_is_refused(tmp_path):
    path = tmp_path / "a.hki"
    index = build(100, 8, np.int64)
    index.save(path)
    index.add_with_ids(make(120)[100:], ids_for(20, np.int64, 100))
    index.flush()
    whole = path.read_bytes()
    for length in range(len(whole)):
        os.truncate(path, len(whole) - 1 - length)
        with pytest.raises(ValueError, match=r"damaged index file|not an index file"):
            hk.BinaryIndex.load(path, verify="none")
    path.write_bytes(whole + b"what a crash left behind the end")
    same(hk.BinaryIndex.load(path), index)


@pytest.mark.parametrize("segments", [1, 2])
def test_every_flipped_bit_is_refused_or_harmless(tmp_path, segments, flipped):
    """Codes and ids: refused. The rest: refused, or it says nothing (padding, one of two commits)."""
    path = tmp_path / "a.hki"
    index = build(20, 8, np.int64)
    index.save(path)
    if segments == 2:
        index.add_with_ids(make(25)[20:], ids_for(5, np.int64, 20))
        index.flush()
    ids, codes = index.ids, index.reconstruct(index.ids)
    last = native_file.NativeFile(path).segments[-1]
    payload = range(last.start + 64, last.start + 64 + last.planes.size + last.ids.size)
    records = [*range(64), *range(512, 576), *range(1024, 1088)]
    whole = path.read_bytes()
    # Of bytes that nothing reads one bit is enough, and of two segments the second, whose loss could go unseen.
    bits = [8 * byte for byte in range(1536) if byte not in records and byte % 8 == 0] if segments == 1 else []
    bits += [8 * byte + i for byte in (*records, *range(last.start, len(whole))) for i in range(8)]
    for bit in flipped(path, bits):
        try:
            found = hk.BinaryIndex.load(path, verify="full")
        except ValueError:
            continue
        assert bit // 8 not in payload
        np.testing.assert_array_equal(found.ids, ids)
        if bit % 64 == 0:
            np.testing.assert_array_equal(found.reconstruct(ids), codes)


def test_lazy_verification_comes_before_the_first_answer(tmp_path):
    path = tmp_path / "a.hki"
    build(100).save(path)
    damaged = bytearray(path.read_bytes())
    damaged[native_file.FIRST_SEGMENT + 64 + 3] ^= 4
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match="checksum of the codes of the segment at byte 1536, in the block at byte 0"):
        hk.BinaryIndex.load(path, verify="full")
    index = hk.BinaryIndex.load(path)
    for answer in (
        lambda: index.search(make(1), 1),
        lambda: index.range_search(make(1), 1),
        lambda: index.range_count(make(1), 1),
        lambda: index.reconstruct(0),
        lambda: index.save(tmp_path / "b.hki"),
        lambda: index.remove_ids(np.array([1])),
    ):
        with pytest.raises(ValueError, match="checksum"):
            answer()
    assert not (tmp_path / "b.hki").exists()
    assert hk.BinaryIndex.load(path, verify="none").search(make(1), 1).indices.shape == (1, 1)


@pytest.mark.parametrize("moment", ["segment", "before commit", "in commit", "done"])
def test_a_crash_during_an_append_leaves_what_was_acknowledged(tmp_path, moment):
    """Every prefix of the writes of an append, as a machine that stops leaves them: data first, then the commit."""
    path = tmp_path / "a.hki"
    old = build(30)
    old.save(path)
    before = path.read_bytes()
    new = hk.BinaryIndex.load(path)
    new.add(make(40)[30:])
    new.flush()
    after = path.read_bytes()
    commit = next(at for at in (512, 1024) if before[at : at + 64] != after[at : at + 64])
    behind = after[len(before) :]
    if moment == "segment":
        states = [(before + behind[:length], old) for length in range(len(behind))]
    elif moment == "before commit":
        states = [(before + behind, old)]
    elif moment == "in commit":  # torn: any part of it may be new; complete data may be taken or not, never half of it
        states = [
            (before[:commit] + after[commit : commit + n] + before[commit + n :] + behind, None) for n in range(64)
        ]
    else:
        states = [(after, new)]
    for content, expected in states:
        path.write_bytes(content)
        found = hk.BinaryIndex.load(path, verify="full")
        same(found, expected or (old if found.ntotal == 30 else new))
        if len(content) % 32:  # what is done next is the same wherever it stopped
            continue
        again = hk.BinaryIndex.load(path)
        again.add(make(90)[again.ntotal : 90])
        again.flush()
        same(hk.BinaryIndex.load(path, verify="full"), build(90))


def test_two_writers(tmp_path):
    path = tmp_path / "a.hki"
    build(10).save(path)
    first, second = hk.BinaryIndex.load(path), hk.BinaryIndex.load(path)
    first.add(make(11)[10:])
    first.flush()
    second.add(make(12)[10:])
    with pytest.raises(ValueError, match="another process has changed the file"):
        second.flush()
    same(hk.BinaryIndex.load(path), build(11))
    third = hk.BinaryIndex.load(path)
    build(10).save(path)
    third.add(make(1))
    with pytest.raises(ValueError, match="another process has changed the file"):
        third.flush()


def test_a_file_of_as_many_other_codes_is_not_appended_to(tmp_path):
    path = tmp_path / "a.hki"
    build(10).save(path)
    index = hk.BinaryIndex.load(path)
    index.add(make(11)[10:])
    others = hk.BinaryIndex(index.bits)
    others.add(make(10) ^ 1)
    others.save(path)
    with pytest.raises(ValueError, match="another process has changed the file"):
        index.flush()
    same(hk.BinaryIndex.load(path), others)


def test_readers_keep_what_they_mapped(tmp_path):
    path = tmp_path / "a.hki"
    index = build(700)
    index.save(path)
    reader = hk.BinaryIndex.load(path)
    index.add(make(900)[700:])
    index.flush()
    build(5).save(path)
    same(reader, build(700))


def header(**changes):
    values = {
        "magic": native_file.MAGIC,
        "version": 1,
        "bits": 8,
        "order": 0,
        "layout": 1,
        "ids": 0,
        "checked": 1 << 16,
    }
    record = struct.pack("<8s6I28xI", *(values | changes).values(), 0)[:-4]
    return record + struct.pack("<I", native_file.crc32c(record))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 2}, "reads index files of version 1, got version 2"),
        ({"version": 0}, "got version 0"),
        ({"bits": 0}, "0 bits"),
        ({"bits": 4097}, "4097 bits"),
        ({"order": 2}, "bit order 2"),
        ({"layout": 7}, "layout 7"),
        ({"ids": 3}, "ids 3"),
        ({"checked": 1}, "are not known"),
    ],
)
def test_headers_that_are_not_known(tmp_path, changes, message):
    path = tmp_path / "a.hki"
    build(3).save(path)
    path.write_bytes(header(**changes) + path.read_bytes()[64:])
    with pytest.raises(ValueError, match=message):
        hk.BinaryIndex.load(path)


def test_a_header_may_claim_anything(tmp_path):
    path = tmp_path / "a.hki"
    build(3).save(path)
    raw = bytearray(path.read_bytes())
    record = struct.pack("<4s4x2Q32xII", b"SEGM", 0, 2**62, 0, 0)[:-4]
    raw[1536:1600] = record + struct.pack("<I", native_file.crc32c(record))
    path.write_bytes(raw)
    with pytest.raises(ValueError, match="4611686018427387904 codes at byte 1536 do not fit"):
        hk.BinaryIndex.load(path)


@pytest.mark.parametrize("content", [b"", b"x", b"IBxF" + bytes(5000), b"\x89HKI\n\x1a\n" + bytes(2000)])
def test_what_is_no_index(tmp_path, content):
    (tmp_path / "a.hki").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.hki: not an index file of hashkernels"):
        hk.BinaryIndex.load(tmp_path / "a.hki")


def test_set_pad_bits_are_refused(tmp_path):
    settings = native_file.Settings(5, "big", "none")
    planes = np.full(native_file.planes_size(1, 1), 255, np.uint8)
    native_file.write_file(tmp_path / "a.hki", settings, planes, 1, None)
    with pytest.raises(ValueError, match="pad bits set"):
        hk.BinaryIndex.load(tmp_path / "a.hki", verify="full")
    native_file.write_file(tmp_path / "b.hki", settings._replace(bitorder="little"), planes, 1, None)
    with pytest.raises(ValueError, match="pad bits set"):
        hk.BinaryIndex.load(tmp_path / "b.hki", verify="full")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([[5, 5, 6]], "its ids must be unique, got 5 twice"),
        ([[5, 6], [7, 5]], "its ids must be unique, got 5 twice"),
        ([[5, -1]], "its ids must not hold -1"),
    ],
)
def test_ids_that_no_index_has(tmp_path, parts, message):
    """Under checksums that are right: a stranger can compute them, too."""
    path, planes = tmp_path / "a.hki", np.zeros(native_file.planes_size(3, 1), np.uint8)
    native_file.write_file(path, native_file.Settings(8, "big", "int64"), planes, len(parts[0]), np.array(parts[0]))
    for more in parts[1:]:
        native_file.append_segment(native_file.NativeFile(path), planes, len(more), np.array(more))
    for mmap in (True, False):
        with pytest.raises(ValueError, match=rf"a\.hki: damaged index file: {message}"):
            hk.BinaryIndex.load(path, mmap=mmap, verify="full")


def test_ids_that_do_not_fit_the_codes_replace_no_file(tmp_path):
    path, planes = tmp_path / "a.hki", np.zeros(native_file.planes_size(3, 1), np.uint8)
    index = build(3, 8, np.int64)
    index.save(path)
    before = path.read_bytes()
    for write in (
        lambda: native_file.write_file(path, native_file.Settings(8, "big", "int64"), planes, 3, np.arange(2)),
        lambda: native_file.append_segment(native_file.NativeFile(path), planes, 3, np.arange(0)),
    ):
        with pytest.raises(ValueError, match="ids must be one for each of 3 codes, got"):
            write()
        assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.hki"]


def test_the_bit_order_is_kept(tmp_path):
    index = hk.BinaryIndex(3, bitorder="little")
    index.add(np.array([[0b111]], np.uint8))
    with pytest.raises(ValueError, match="pad bits"):
        index.add(np.array([[0b11100000]], np.uint8))
    index.save(tmp_path / "a.hki")
    assert hk.BinaryIndex.load(tmp_path / "a.hki", verify="full").bitorder == "little"
    with pytest.raises(ValueError, match="other must hold codes of 3 bits in little order, got 3 bits in big order"):
        index.merge(hk.BinaryIndex(3))


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.hki"
    index = build(10)
    index.save(path)
    before = path.read_bytes()
    index.add(make(20)[10:])

    def full(handle):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(native_file.os, "fsync", full)
        for write in (index.flush, lambda: index.save(path)):
            with pytest.raises(OSError, match="No space left"):
                write()
            assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.hki"]
    index.flush()
    same(hk.BinaryIndex.load(path), build(20))


def test_files_that_may_not_be_read_or_written(tmp_path):
    path = tmp_path / "a.hki"
    with pytest.raises(FileNotFoundError):
        hk.BinaryIndex.load(path)
    with pytest.raises(IsADirectoryError):
        hk.BinaryIndex.load(tmp_path)
    with pytest.raises(ValueError, match="must have a file"):
        build(1).flush()
    build(1).save(path)
    path.chmod(stat.S_IRUSR)
    assert hk.BinaryIndex.load(path).ntotal == 1
    with pytest.raises(ValueError, match="verify must be one of full, lazy, none"):
        hk.BinaryIndex.load(path, verify="maybe")
