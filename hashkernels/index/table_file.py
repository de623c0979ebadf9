"""Hash tables in an index file, searched where they lie.

A segment of kind "tags" holds, each from a multiple of 64 bytes on: the number of chunks (int32) and their widths, then
order, offsets, rows, ids and slots as in csrc/include/hashkernels/hash_tables.h. They are those of all codes in front.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from hashkernels import _ops
from hashkernels._arrays import to_tensor
from hashkernels.index.native_file import ALIGNMENT, Bytes, Extra, NativeFile

_KIND = b"tags"  # "hash" was that of tables whose slots have no tags


def extra_of(tables: _ops.HashTables) -> Extra:
    """What is written."""
    widths = tables.widths
    head = torch.cat([torch.tensor([len(widths)], dtype=torch.int32, device="cpu"), widths])
    return Extra(_KIND, [piece for part in (head, *tables.parts[1:]) for piece in _padded(part)])


def stored_tables(file: NativeFile, *, mmap: bool) -> Callable[[], _ops.HashTables] | None:
    """What gives the tables over all codes of a file, if it has them, and ``ValueError`` where they are damaged."""
    for segment in file.extras:
        if segment.kind == _KIND and segment.first == file.count:
            content = segment.sections[0] if mmap else segment.sections[0].copy()
            return lambda: _read(file, content)
    return None


def check_tables(file: NativeFile, planes: Callable[[], Tensor]) -> None:
    """Raise ``ValueError`` where a file has tables that can be searched here, but not those of its codes.

    Takes as long as to build them; ``planes`` gives int64 [blocks, 8 W, 8].
    """
    read = stored_tables(file, mmap=True)
    if read is None or not _ops.can_hash(file.count):
        return
    tables, settings = read(), file.settings
    with _damage_of(file):
        _ops.check_hash_contents(tables, planes(), settings.bits, little=settings.bitorder == "little")


def codes_in_tables(file: NativeFile) -> int:
    """Of how many codes the newest tables in a file are, 0 without any; searches use them where these are all codes."""
    return max((segment.first for segment in file.extras if segment.kind == _KIND), default=0)


def _read(file: NativeFile, content: Bytes) -> _ops.HashTables:
    settings, count = file.settings, file.count
    with _damage_of(file):
        chunks = int(content[:4].view("<i4")[0]) if content.size >= ALIGNMENT else 0
        if not 0 < chunks <= 8 * settings.num_bytes or 4 * (chunks + 1) > content.size:
            raise ValueError(f"{chunks} chunks are not possible")
        widths = content[4 : 4 * (chunks + 1)].view("<i4").tolist()
        if min(widths) < 1 or sum(widths) > settings.bits:
            raise ValueError(f"chunks of {widths[:8]} bits are not possible")
        at, parts = _aligned(4 * (chunks + 1)), [torch.tensor(widths, dtype=torch.int32, device="cpu")]
        for shape, dtype in _ops.hash_table_shapes(count, settings.num_bytes, settings.bits, widths)[1:]:
            size = math.prod(shape) * dtype.itemsize
            if at + size > content.size:
                raise ValueError(f"they need more than their {content.size} bytes")
            parts.append(to_tensor("tables", content[at : at + size]).view(dtype).view(shape))
            at += _aligned(size)
        tables = _ops.HashTables(count, settings.num_bytes, *parts)
        _ops.check_hash_tables(tables)
    return tables


@contextmanager
def _damage_of(file: NativeFile) -> Iterator[None]:
    """Says where the tables are that an error is about."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{file.path}: damaged index file: its hash tables: {error}") from None


def _padded(part: Tensor) -> list[Bytes]:
    content = part.contiguous().numpy().reshape(-1).view(np.uint8)
    return [content, np.zeros(_aligned(content.size) - content.size, np.uint8)]


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
