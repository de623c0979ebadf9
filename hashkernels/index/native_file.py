"""The library's own file: what search reads, in the form in which it reads it, under checksums.

All numbers are little-endian; every section begins at a multiple of 64 bytes.

    0     header      magic, version, bits, bit order, layout, kind of ids, bytes a checksum covers; CRC-32C
    512   commit 1    sequence number, end of the file, codes, segments; CRC-32C
    1024  commit 0    the same; commit n lies at number n % 2
    1536  segments    each: header (kind, position of its first code, codes, CRC-32C of its checksums; CRC-32C), planes
                      as in csrc/include/hashkernels/index.h, ids (8 bytes each, if any), a CRC-32C for every block of
                      both

A segment whose kind begins with a small letter holds no codes but what helps to search those in front of it: its header
says how many bytes it has, and a reader that does not know the kind steps over it. "tags": see table_file.py.

The commit with the larger number says what the file holds. To append, a segment is written behind the end and brought
to the disk, and only then the older commit is overwritten: until that is done the newer one stands. A commit that
cannot be read was either being written, or is damaged: its segment was complete before, so complete segments behind the
end of the other commit are taken. So a crash at any moment leaves all that was acknowledged, and damage to a commit
loses nothing.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from hashkernels import _ops
from hashkernels._arrays import to_tensor
from hashkernels._files import atomic_write, map_file, name_file
from hashkernels._validation import MAX_BITS

Bytes = npt.NDArray[np.uint8]
Progress = Callable[[int, int], None]
BitOrder = Literal["big", "little"]
IdKind = Literal["none", "int64", "uint64"]

MAGIC = b"\x89HKI\r\n\x1a\n"  # like PNG's: a transfer as text, or of seven bits, breaks it
VERSION = 1
FIRST_SEGMENT = 1536
ALIGNMENT = 64
CHECKED_BYTES = 1 << 16

_BIT_ORDERS: tuple[BitOrder, ...] = ("big", "little")
_ID_KINDS: tuple[IdKind, ...] = ("none", "int64", "uint64")
_LAYOUT_PLANES = 1
_HEADER = struct.Struct("<8s6I28xI")
_COMMIT = struct.Struct("<4Q28xI")
_SEGMENT = struct.Struct("<4s4x3Q24xII")
_CODES = b"SEGM"
_COMMITS = (1024, 512)  # number n lies at _COMMITS[n % 2]
_VERIFIED_AT_ONCE = 64 << 20


class Settings(NamedTuple):
    """What all segments of a file share."""

    bits: int
    bitorder: BitOrder
    id_kind: IdKind

    @property
    def num_bytes(self) -> int:
        """Bytes a code."""
        return (self.bits + 7) // 8

    @property
    def id_dtype(self) -> np.dtype[Any] | None:
        """Of the ids, if there are any."""
        return None if self.id_kind == "none" else np.dtype(self.id_kind)


class Segment(NamedTuple):
    """Views of a mapped file."""

    kind: bytes
    checksum: int  # of its header, which has one of all its checksums
    start: int  # its byte in the file
    end: int
    first: int  # position of its first code; where it holds none, how many there are in front of it
    num_codes: int
    sections: tuple[Bytes, ...]  # of codes: planes, and ids where there are some
    checksums: npt.NDArray[np.uint32]  # of the blocks of each section in turn

    @property
    def planes(self) -> Bytes:
        """The codes."""
        return self.sections[0]

    @property
    def ids(self) -> Bytes | None:
        """Their ids."""
        return self.sections[1] if len(self.sections) > 1 else None


class Extra(NamedTuple):
    """What a file may hold besides its codes."""

    kind: bytes  # four letters, the first of them small
    parts: list[Bytes]


class _Commit(NamedTuple):
    sequence: int
    end: int
    num_codes: int
    num_segments: int


class NativeFile:
    """A mapped file, its structure checked; ``verify`` checks the contents.

    Raises:
        ValueError: the file is no such file, is truncated, damaged, or of a version that is not known.
        OSError: it cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._bytes = map_file(path)
        self.settings = self._read_settings()
        commits = [self._read_commit(at) for at in _COMMITS]
        readable = [commit for commit in commits if commit is not None]
        if not readable:
            raise self._damaged("neither of its two commits can be read")
        commit = max(readable)
        self.sequence, self.end = commit.sequence, FIRST_SEGMENT
        self.segments: list[Segment] = []
        self.extras: list[Segment] = []
        self.count = 0
        if commit.end > len(self._bytes):
            raise self._damaged(f"{commit.end} bytes were committed, got {len(self._bytes)} (truncated?)")
        while self.end < commit.end:
            self._take(self._read_segment(self.end, commit.end))
        if (self.end, self.count, len(self.segments)) != commit[1:]:
            raise self._damaged("its segments are not those of its commit")
        if len(readable) == 1:
            self._take_complete_segments()

    def verify(self, progress: Progress | None = None) -> None:
        """Raise ``ValueError`` unless every block of codes and ids has its checksum and all pad bits are zero."""
        segments = [*self.segments, *self.extras]
        total, done = sum(segment.end - segment.start for segment in segments), 0
        for segment in segments:
            self._verify(segment)
            done += segment.end - segment.start
            if progress is not None:
                progress(done, total)

    def summary(self) -> tuple[Any, ...]:
        """What tells the file from one with other contents, by checksums of them."""
        checksums = [segment.checksum for segment in (*self.segments, *self.extras)]
        return self.sequence, self.end, self.settings, checksums

    def _take(self, segment: Segment) -> None:
        (self.segments if segment.kind == _CODES else self.extras).append(segment)
        self.end, self.count = segment.end, self.count + segment.num_codes

    def _take_complete_segments(self) -> None:
        while True:
            try:
                segment = self._read_segment(self.end, len(self._bytes))
                self._verify(segment)
            except ValueError:
                return
            self._take(segment)

    def _read_settings(self) -> Settings:
        if len(self._bytes) < len(MAGIC) or bytes(self._bytes[: len(MAGIC)]) != MAGIC:
            raise ValueError(f"{self.path}: not an index file of hashkernels; hashkernels.index.formats reads others")
        if len(self._bytes) < FIRST_SEGMENT:
            raise self._damaged(f"at least {FIRST_SEGMENT} bytes expected, got {len(self._bytes)} (truncated?)")
        raw = bytes(self._bytes[: _HEADER.size])
        _, version, bits, bitorder, layout, id_kind, checked, checksum = _HEADER.unpack(raw)
        # The version comes first: a newer one may have another header.
        if version != VERSION:
            raise ValueError(f"{self.path}: this release reads index files of version {VERSION}, got version {version}")
        if checksum != crc32c(raw[:-4]):
            raise self._damaged("its header has the wrong checksum")
        if (
            not 1 <= bits <= MAX_BITS
            or bitorder >= len(_BIT_ORDERS)
            or layout != _LAYOUT_PLANES
            or id_kind >= len(_ID_KINDS)
            or checked != CHECKED_BYTES
        ):
            raise self._damaged(f"{bits} bits, bit order {bitorder}, layout {layout}, ids {id_kind} are not known")
        return Settings(bits, _BIT_ORDERS[bitorder], _ID_KINDS[id_kind])

    def _read_commit(self, at: int) -> _Commit | None:
        raw = bytes(self._bytes[at : at + _COMMIT.size])
        *numbers, checksum = _COMMIT.unpack(raw)
        return _Commit(*numbers) if checksum == crc32c(raw[:-4]) and _COMMITS[numbers[0] % 2] == at else None

    def _read_segment(self, start: int, limit: int) -> Segment:
        """The segment at ``start``, which may not go beyond ``limit``, the end of the file or before it."""
        body = start + _SEGMENT.size
        if body > limit:
            raise self._damaged(f"a segment at byte {start} does not fit")
        raw = bytes(self._bytes[start:body])
        kind, first, count, size, table_checksum, checksum = _SEGMENT.unpack(raw)
        holds_codes = kind == _CODES and count > 0 and size == 0
        optional = kind[:1].islower() and count == 0 and size > 0
        if checksum != crc32c(raw[:-4]) or first != self.count or not (holds_codes or optional):
            raise self._damaged(f"the header of the segment at byte {start} is wrong")
        sizes = [size]
        if kind == _CODES:
            sizes = [planes_size(count, self.settings.num_bytes)]
            sizes += [8 * count] if self.settings.id_kind != "none" else []
        starts = list(itertools.accumulate(map(_aligned, sizes), initial=body))
        table_size = 4 * sum(map(_num_checked, sizes))
        end = starts[-1] + _aligned(table_size)
        if end > limit:
            what = f"{count} codes" if kind == _CODES else f"{size} bytes"
            raise self._damaged(f"{what} at byte {start} do not fit into {limit} bytes (truncated?)")
        table = self._bytes[starts[-1] : starts[-1] + table_size]
        if crc32c(table.tobytes()) != table_checksum:
            raise self._damaged(f"the checksums of the segment at byte {start} are wrong")
        sections = tuple(self._bytes[at : at + size] for at, size in zip(starts, sizes, strict=False))
        return Segment(kind, checksum, start, end, first, count, sections, table.view("<u4"))

    def _verify(self, segment: Segment) -> None:
        at = 0
        names = ("codes", "ids") if segment.kind == _CODES else ("tables",)
        for what, section in zip(names, segment.sections, strict=False):
            for begin in range(0, section.size, _VERIFIED_AT_ONCE):
                found = checksums(section[begin : begin + _VERIFIED_AT_ONCE])
                wrong = np.flatnonzero(found != segment.checksums[at : at + len(found)])
                if wrong.size:
                    block = begin + int(wrong[0]) * CHECKED_BYTES
                    where = f"of the segment at byte {segment.start}, in the block at byte {block} of them"
                    raise self._damaged(f"the checksum of the {what} {where}, is wrong")
                at += len(found)
        if segment.kind == _CODES and _pad_planes(segment.planes, self.settings).any():
            raise self._damaged(f"codes of the segment at byte {segment.start} have pad bits set")

    def _damaged(self, reason: str) -> ValueError:
        return ValueError(f"{self.path}: damaged index file: {reason}")


def write_file(
    path: str | os.PathLike[str],
    settings: Settings,
    planes: Bytes,
    count: int,
    ids: npt.NDArray[Any] | None,
    extras: Sequence[Extra] = (),
) -> None:
    """Write a file of one segment (of none where there are no codes), atomically: when this returns, it is on the disk.

    Args:
        path: what is there is replaced; processes that have it mapped keep what they have.
        settings: of the codes.
        planes: uint8 [blocks * 512 * bytes a code]; what lies in the last block behind the codes is left out.
        count: how many codes there are.
        ids: int64 or uint64 [count], or None.
        extras: what else there is to search these codes by.
    """
    with atomic_write(path) as file:
        header = _HEADER.pack(
            MAGIC,
            VERSION,
            settings.bits,
            _BIT_ORDERS.index(settings.bitorder),
            _LAYOUT_PLANES,
            _ID_KINDS.index(settings.id_kind),
            CHECKED_BYTES,
            0,
        )
        _write(file, _sealed(header))
        file.seek(FIRST_SEGMENT)
        end = FIRST_SEGMENT
        if count:
            end = _write_codes(file, end, settings, 0, planes, count, ids)
            for kind, parts in extras:
                size = sum(part.size for part in parts)
                end = _write_segment(file, end, (kind, count, 0, size), [list(_in_blocks(parts))])
        else:
            file.truncate(end)
        for sequence in (0, 1):
            _write_commit(file, _Commit(sequence, end, count, int(count > 0)))


def append_segment(known: NativeFile, planes: Bytes, count: int, ids: npt.NDArray[Any] | None) -> NativeFile:
    """Add codes behind those of the file ``known``; when this returns, they are on the disk.

    Returns:
        The file as it is then.

    Raises:
        ValueError: another process has changed the file since ``known`` was opened.
        OSError: the disk is full, the file read-only. The file holds what it held.
    """
    # Without a buffer, which would try to write on closing what could not be written before.
    with open(known.path, "r+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        now = NativeFile(known.path)
        same = os.fstat(file.fileno()).st_ino == os.stat(known.path).st_ino
        if not same or now.summary() != known.summary():
            raise ValueError(f"{known.path}: another process has changed the file since it was opened")
        try:
            # What a crash has left behind the end must not be taken for a segment one day.
            file.truncate(now.end)
            file.seek(now.end)
            end = _write_codes(file, now.end, now.settings, now.count, planes, count, ids)
            os.fsync(file.fileno())
        except BaseException as error:
            file.truncate(now.end)
            name_file(error, known.path)
            raise
        _write_commit(file, _Commit(now.sequence + 1, end, now.count + count, len(now.segments) + 1))
        os.fsync(file.fileno())
    return NativeFile(known.path)


def planes_size(count: int, num_bytes: int) -> int:
    """Bytes that the planes of ``count`` codes take."""
    return -(-count // _ops.BLOCK_CODES) * _ops.BLOCK_CODES * num_bytes


def checksums(data: Bytes) -> npt.NDArray[np.uint32]:
    """CRC-32C of each block of a section."""
    return _ops.block_checksums(to_tensor("data", data), CHECKED_BYTES).numpy().view(np.uint32)


def crc32c(data: bytes) -> int:
    """CRC-32C of a few bytes."""
    if not data:
        return 0
    whole = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    return int(_ops.block_checksums(whole, len(data))[0]) & 0xFFFFFFFF


def _write_codes(
    file: IO[bytes],
    start: int,
    settings: Settings,
    first: int,
    planes: Bytes,
    count: int,
    ids: npt.NDArray[Any] | None,
) -> int:
    """Write a segment of codes at ``start``, where the file stands; returns the end."""
    sections = [_without_remainder(planes, count, settings.num_bytes)]
    if ids is not None:
        # Both writers leave the old file as it was when this raises.
        if len(ids) != count:
            raise ValueError(f"ids must be one for each of {count} codes, got {len(ids)}")
        sections.append([np.ascontiguousarray(ids, "<i8" if ids.dtype.kind == "i" else "<u8").view(np.uint8)])
    return _write_segment(file, start, (_CODES, first, count, 0), sections)


def _write_segment(
    file: IO[bytes], start: int, header: tuple[bytes, int, int, int], sections: list[list[Bytes]]
) -> int:
    """Write sections, each in parts of whole checked blocks but for the last; returns the end."""
    table = np.concatenate([checksums(part) for section in sections for part in section]).astype("<u4").view(np.uint8)
    _write(file, _sealed(_SEGMENT.pack(*header, crc32c(table.tobytes()), 0)))
    at = start + _SEGMENT.size
    for section in (*sections, [table]):
        for part in section:
            _write(file, part.data)
            at += part.size
        _write(file, bytes(_aligned(at) - at))
        at = _aligned(at)
    return at


def _in_blocks(parts: Iterable[Bytes]) -> Iterator[Bytes]:
    """The same bytes in parts of whole checked blocks, but for the last."""
    carried = np.empty(0, np.uint8)
    for part in parts:
        if carried.size:
            missing = CHECKED_BYTES - carried.size
            carried, part = np.concatenate([carried, part[:missing]]), part[missing:]
            if carried.size < CHECKED_BYTES:
                continue
            yield carried
        whole = part.size // CHECKED_BYTES * CHECKED_BYTES
        if whole:
            yield part[:whole]
        carried = part[whole:]
    if carried.size:
        yield carried


def _write(file: IO[bytes], data: bytes | memoryview) -> None:
    """All of the data, of which one call may take a part where the file has no buffer."""
    left = memoryview(data).cast("B")
    while left:
        left = left[file.write(left) :]


def _write_commit(file: IO[bytes], commit: _Commit) -> None:
    file.seek(_COMMITS[commit.sequence % 2])
    _write(file, _sealed(_COMMIT.pack(*commit, 0)))


def _without_remainder(planes: Bytes, count: int, num_bytes: int) -> list[Bytes]:
    """The planes in two parts, the first of whole checked blocks, with zeros for what lies behind the codes: the same
    codes give the same file, and no file holds what happened to be in memory."""
    planes = planes[: planes_size(count, num_bytes)]
    block_bytes = _ops.BLOCK_CODES * num_bytes
    used = count % _ops.BLOCK_CODES
    split = (planes.size - (block_bytes if used else 0)) // CHECKED_BYTES * CHECKED_BYTES
    rest = planes[split:].copy()
    if used:
        kept = np.zeros(_ops.BLOCK_CODES, np.uint8)
        kept[:used] = 1
        rest[-block_bytes:].reshape(8 * num_bytes, -1)[...] &= np.packbits(kept, bitorder="little")
    return [planes[:split], rest]


def _pad_planes(planes: Bytes, settings: Settings) -> Bytes:
    """The planes of bits that no code has."""
    pad = 8 * settings.num_bytes - settings.bits
    by_bit = planes.reshape(-1, 8 * settings.num_bytes, _ops.BLOCK_CODES // 8)
    last = by_bit[:, -8:]
    return last[:, :pad] if settings.bitorder == "big" else last[:, 8 - pad :]


def _sealed(record: bytes) -> bytes:
    """The record with its checksum in the last four bytes."""
    return record[:-4] + struct.pack("<I", crc32c(record[:-4]))


def _num_checked(size: int) -> int:
    return -(-size // CHECKED_BYTES)


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
