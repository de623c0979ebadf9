"""Which structure stands beside the codes of an index."""

from __future__ import annotations

from typing import Literal, get_args

from hashkernels import _ops
from hashkernels.index.hashed import BUCKET_BITS, HashedStorage
from hashkernels.index.storage import Storage

Structure = Literal["auto", "scan", "hash"]
STRUCTURES: tuple[str, ...] = get_args(Structure)


def with_structure(storage: Storage, bits: int, structure: str) -> Storage:
    """A storage of the CPU with what ``structure`` allows searches to use besides."""
    if not _ops.has_sliced_search():
        return storage
    if structure == "hash" or (structure == "auto" and bits <= BUCKET_BITS):
        return HashedStorage(storage, bits, eager=structure == "hash")
    return storage
