"""Codes in a file of any format that is known, told by the end of its name."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hashkernels._validation import check_choice, check_int
from hashkernels.index.binary_index import BinaryIndex
from hashkernels.index.formats._codes import PackedCodes, check_bit_order, code_array, reordered
from hashkernels.index.formats.databases import read_hex, write_hex, write_pgvector
from hashkernels.index.formats.faiss import read_faiss, write_faiss
from hashkernels.index.formats.npy import read_npy, write_npy
from hashkernels.index.formats.vectors import read_bvecs, read_u8bin, write_bvecs, write_u8bin
from hashkernels.index.native_file import BitOrder

_Path = str | os.PathLike[str]
_PLAIN: dict[str, tuple[Callable[[_Path], Any], Callable[[_Path, Any], None]]] = {
    "npy": (read_npy, write_npy),
    "u8bin": (read_u8bin, write_u8bin),
    "bvecs": (read_bvecs, write_bvecs),
    "hex": (read_hex, write_hex),
}
READABLE = ("hki", "faiss", *_PLAIN)
WRITABLE = (*READABLE, "pgvector")


def format_of(path: _Path, format: str | None, known: tuple[str, ...], *, name: str = "format") -> str:
    """The format that is named, by the argument ``name``, or that the end of the file's name says.

    Raises:
        ValueError: neither says one that is known.
    """
    if format is not None:
        return check_choice(name, format, known)
    ending = Path(path).suffix.lstrip(".").lower()
    if ending not in known:
        raise ValueError(f"{path} must end in one of .{', .'.join(known)}, or {name} say its format")
    return ending


def read_codes(
    path: _Path, *, bits: int | None = None, format: str | None = None, bitorder: BitOrder | None = None
) -> PackedCodes:
    """Read codes, and ids where the format has them.

    Args:
        path: of the file.
        bits: the length of a code [default: what the file says, or 8 a byte].
        format: "hki" (an index of this library), "faiss", "npy", "u8bin", "bvecs" or "hex" [default: by name].
        bitorder: of the codes that are returned [default: what an .hki says, else "big"]. Those of an .hki are brought
            into it; the other formats have bytes alone, which are taken to be in it.

    Raises:
        ValueError: the file is damaged, of another format, or its codes are not of ``bits`` bits.
        OSError: it cannot be opened.
    """
    kind = format_of(path, format, READABLE)
    if bitorder is not None:
        check_bit_order(bitorder)
    if kind == "hki":
        index = BinaryIndex.load(path, verify="full", structure="scan")  # nothing is searched for
        keys = np.arange(index.ntotal) if index.ids is None else index.ids
        codes = index.reconstruct(keys) if len(keys) else np.empty((0, index.bytes_per_code), np.uint8)
        wanted = bitorder or index.bitorder
        found = PackedCodes(reordered(codes, index.bitorder, wanted), index.bits, index.ids, wanted)
    elif kind == "faiss":
        found = read_faiss(path)._replace(bitorder=bitorder or "big")
    else:
        rows = _PLAIN[kind][0](path)
        found = PackedCodes(rows, 8 * rows.shape[1], None, bitorder or "big")
    if bits is None:
        return found
    width = found.codes.shape[1]
    exact = found.bits if kind == "hki" else None
    low, high = (exact, exact) if exact is not None else (8 * width - 7, 8 * width)
    return found._replace(bits=check_int("bits", bits, low, high))


def write_codes(path: _Path, found: PackedCodes, *, format: str | None = None) -> None:
    """Write codes, atomically; see ``read_codes``, and "pgvector" for ``write_pgvector``.

    An .hki says in which bit order its codes are, strings of bits begin with the first bit whatever the order; the
    other formats get the bytes as they are, whose distances are the same in either.

    Raises:
        ValueError: the format cannot hold them, or pad bits are set.
        TypeError: codes are not uint8 or ids not integers, in a tensor or an array.
        OSError: the file cannot be written.
    """
    kind = format_of(path, format, WRITABLE)
    codes, bits, ids, bitorder = found
    if kind == "hki":
        index = BinaryIndex(bits, bitorder=bitorder)
        rows = code_array("codes", codes)
        index.add(rows) if ids is None else index.add_with_ids(rows, ids)
        index.save(path)
    elif kind == "faiss":
        write_faiss(path, codes, ids)
    elif kind == "pgvector":
        write_pgvector(path, codes, bits, ids, bitorder=bitorder)
    elif ids is not None:
        raise ValueError(f"{path}: .{kind} has no place for ids; hki, faiss and pgvector have")
    else:
        _PLAIN[kind][1](path, codes)
