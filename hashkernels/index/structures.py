"""Which structure stands beside the codes of an index."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

from hashkernels import _ops
from hashkernels.index.hashed import BUCKET_BITS, HashedStorage
from hashkernels.index.storage import Storage

Structure = Literal["auto", "scan", "hash"]
STRUCTURES: tuple[str, ...] = get_args(Structure)


def with_structure(
    storage: Storage,
    bits: int,
    bitorder: str,
    structure: str,
    stored: Callable[[], _ops.HashTables] | None = None,
) -> Storage:
    """A storage of the CPU with what ``structure`` allows searches to use besides; ``stored``: what a file has."""
    if not _ops.has_sliced_search() or structure == "scan":
        return storage
    if structure == "hash":
        return HashedStorage(storage, bits, bitorder, build="first", stored=stored)
    if bits <= BUCKET_BITS:
        return HashedStorage(storage, bits, bitorder, build="worth it", stored=stored)
    return storage if stored is None else HashedStorage(storage, bits, bitorder, build="never", stored=stored)
