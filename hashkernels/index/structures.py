"""Which storage serves which ``structure`` of an index."""

from __future__ import annotations

from hashkernels import _ops
from hashkernels.index.hashed import BUCKET_BITS, HashedStorage
from hashkernels.index.storage import PackedStorage, SlicedStorage, Storage

STRUCTURES = ("auto", "scan", "hash")


def new_storage(bits: int, structure: str) -> Storage:
    """An empty storage of the kind that is searched fastest here."""
    num_bytes = (bits + 7) // 8
    if not _ops.has_sliced_search():
        return PackedStorage(num_bytes)
    if structure == "hash" or (structure == "auto" and bits <= BUCKET_BITS):
        return HashedStorage(bits, eager=structure == "hash")
    return SlicedStorage(num_bytes)
