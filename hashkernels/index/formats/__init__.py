"""Codes in the files and values of other software, read and written without it.

Readers of files return read-only views of the mapped file: they take no memory that the file does not have, unpickle
nothing, and refuse what is truncated or contradicts itself with one ``ValueError``. Writers replace a file atomically.
The first bit of a code is the highest of its first byte, or with ``bitorder="little"`` the lowest; of the files an .hki
alone says which.
"""

from __future__ import annotations

from hashkernels.index.formats._codes import PackedCodes
from hashkernels.index.formats.by_name import READABLE, WRITABLE, read_codes, write_codes
from hashkernels.index.formats.databases import (
    from_hex,
    from_integers,
    from_signed_bytes,
    read_hex,
    to_bit_strings,
    to_hex,
    to_integers,
    to_signed_bytes,
    write_hex,
    write_pgvector,
)
from hashkernels.index.formats.faiss import read_faiss, write_faiss
from hashkernels.index.formats.npy import read_npy, write_npy
from hashkernels.index.formats.vectors import (
    read_bvecs,
    read_ivecs,
    read_u8bin,
    write_bvecs,
    write_ivecs,
    write_u8bin,
)

__all__ = [
    "READABLE",
    "WRITABLE",
    "PackedCodes",
    "from_hex",
    "from_integers",
    "from_signed_bytes",
    "read_bvecs",
    "read_codes",
    "read_faiss",
    "read_hex",
    "read_ivecs",
    "read_npy",
    "read_u8bin",
    "to_bit_strings",
    "to_hex",
    "to_integers",
    "to_signed_bytes",
    "write_bvecs",
    "write_codes",
    "write_faiss",
    "write_hex",
    "write_ivecs",
    "write_npy",
    "write_pgvector",
    "write_u8bin",
]
